const quietMs = 60_000;

/**
 * Limits log lines about things that other clients can cause at any rate: the first is logged at once, later ones at most
 * once a minute, with the number since the last line.
 */
export class Seldom {
  #count = 0;
  #since = 0;
  #loggedAt = Number.NEGATIVE_INFINITY;

  /** How often it has happened. */
  get count(): number {
    return this.#count;
  }

  note(log: (times: number) => void): void {
    this.#count += 1;
    this.#since += 1;
    const now = performance.now();
    if (now < this.#loggedAt + quietMs) return;
    this.#loggedAt = now;
    log(this.#since);
    this.#since = 0;
  }
}
