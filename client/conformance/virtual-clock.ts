/** Time that passes only when it is told to, so that a day of backing off takes a millisecond. */
export class VirtualClock {
  #now = Date.UTC(2026, 0, 1);
  #timers: { readonly at: number; readonly order: number; readonly run: () => void }[] = [];
  #order = 0;

  get now(): number {
    return this.#now;
  }

  /** The number of timers that have not run: none may be left when a client is closed. */
  get pending(): number {
    return this.#timers.length;
  }

  setTimer(run: () => void, ms: number): () => void {
    this.#order += 1;
    const timer = { at: this.#now + Math.max(ms, 0), order: this.#order, run };
    // The list is short; kept in order, the next one is the first.
    let index = this.#timers.length;
    while (index > 0 && (this.#timers[index - 1] as typeof timer).at > timer.at) index -= 1;
    this.#timers.splice(index, 0, timer);
    return () => {
      const place = this.#timers.indexOf(timer);
      if (place !== -1) this.#timers.splice(place, 1);
    };
  }

  /** Lets this time pass, with everything that happens in it. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settle();
    for (let next = this.#timers[0]; next !== undefined && next.at <= end; next = this.#timers[0]) {
      this.#timers.shift();
      this.#now = Math.max(this.#now, next.at);
      next.run();
      await settle();
    }
    this.#now = end;
  }

  /** Lets time pass until the condition holds, at most `ms`; returns whether it does. */
  async until(condition: () => boolean, ms: number): Promise<boolean> {
    const end = this.#now + ms;
    await settle();
    while (!condition()) {
      const next = this.#timers[0];
      if (next === undefined || next.at > end) {
        this.#now = end;
        return condition();
      }
      this.#timers.shift();
      this.#now = Math.max(this.#now, next.at);
      next.run();
      await settle();
    }
    return true;
  }
}

/** Runs all promises that can go on without time. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
