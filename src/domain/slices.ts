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
  /** When the work of this turn of the event loop began; undefined if there was none. */
  #startedAt: number | undefined;
  #startedUsage = process.cpuUsage();

  /** Whether this turn of the event loop has done enough. Time in which another program had the processor does not count. */
  get isOver(): boolean {
    if (this.#startedAt === undefined) this.#begin();
    if (performance.now() - (this.#startedAt ?? 0) <= sliceMs) return false;
    const { user, system } = process.cpuUsage(this.#startedUsage);
    return user + system > sliceMs * 1_000;
  }

  /** Resolves in a later turn of the event loop, when those who waited before have used less than a slice of it. */
  next(user: TurnTaker): Promise<void> {
    if (this.#startedAt === undefined) this.#begin();
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(user);
      if (waiting === undefined) this.#waiting.set(user, [resolve]);
      else waiting.push(resolve);
    });
  }

  #begin(): void {
    this.#startedAt = performance.now();
    this.#startedUsage = process.cpuUsage();
    setImmediate(this.#takeTurn);
  }

  readonly #takeTurn = (): void => {
    this.#startedAt = undefined;
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
