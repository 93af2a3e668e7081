import type { TurnTaker } from './fair-turns.js';

/** A turn of the event loop in which lists have been processed for so long leaves the rest to later turns. */
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

  /** Whether this turn of the event loop has done enough. */
  get isOver(): boolean {
    if (this.#startedAt === undefined) this.#begin();
    return performance.now() - (this.#startedAt ?? 0) > sliceMs;
  }

  /** Resolves in a later turn of the event loop, which no other slice shares. */
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
    setImmediate(this.#takeTurn);
  }

  /** What resolves runs right after this function. */
  readonly #takeTurn = (): void => {
    this.#startedAt = undefined;
    const next = this.#waiting.entries().next();
    if (next.done === true) return;
    const [user, waiting] = next.value;
    this.#begin();
    waiting.shift()?.();
    this.#waiting.delete(user);
    if (waiting.length > 0) this.#waiting.set(user, waiting);
  };
}
