import type { TurnTaker } from './fair-turns.js';

/** Long work leaves the rest to later turns once a turn of the event loop has spent so long on it. */
const sliceMs = 2;

/**
 * Divides long work that does not wait for anything over many turns of the event loop, so that what others do goes on in
 * between. Users take turns: a thousand waiting slices of one user delay another user by one slice only.
 */
export class Slices {
  /** Users with waiting slices, in the order of their turns. */
  readonly #waiting = new Map<TurnTaker, (() => void)[]>();
  /** Whether work of this turn of the event loop has begun. */
  #hasBegun = false;
  #startedUsage = process.cpuUsage();
  /** Before this time, the work cannot have taken a slice of CPU time: asking for that takes as long as many a piece of work. */
  #earliestEnd = 0;
  #isOver = false;
  /** In milliseconds. */
  #planned = 0;

  /**
   * Whether this turn of the event loop has done enough, or has enough to do. Time in which another program had the processor
   * does not count.
   */
  get isOver(): boolean {
    if (!this.#hasBegun) this.#begin();
    if (this.#isOver || this.#planned >= sliceMs) return true;
    const now = performance.now();
    if (now < this.#earliestEnd) return false;
    const { user, system } = process.cpuUsage(this.#startedUsage);
    const leftMs = sliceMs - (user + system) / 1_000;
    this.#earliestEnd = now + leftMs;
    this.#isOver = leftMs <= 0;
    return this.#isOver;
  }

  /** Announces work for the rest of this turn, about this long, that nothing divides any more. */
  plan(ms: number): void {
    if (!this.#hasBegun) this.#begin();
    this.#planned += ms;
  }

  /** Resolves in a later turn of the event loop, when those who waited before have used less than a slice of it. */
  next(user: TurnTaker): Promise<void> {
    if (!this.#hasBegun) this.#begin();
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(user);
      if (waiting === undefined) this.#waiting.set(user, [resolve]);
      else waiting.push(resolve);
    });
  }

  #begin(): void {
    this.#hasBegun = true;
    this.#isOver = false;
    this.#startedUsage = process.cpuUsage();
    this.#earliestEnd = performance.now() + sliceMs;
    this.#planned = 0;
    setImmediate(this.#takeTurn);
  }

  readonly #takeTurn = (): void => {
    this.#hasBegun = false;
    if (this.#waiting.size === 0) return;
    this.#begin();
    this.#resolveFirst();
  };

  #resolveFirst(): void {
    const next = this.#waiting.entries().next();
    if (next.done === true) return;
    const [user, waiting] = next.value;
    waiting.shift()?.();
    this.#waiting.delete(user);
    if (waiting.length > 0) this.#waiting.set(user, waiting);
    // A tick that a microtask adds comes after all microtasks, and so after what has been resolved.
    queueMicrotask(() => process.nextTick(this.#continue));
  }

  readonly #continue = (): void => {
    if (!this.isOver) this.#resolveFirst();
  };
}
