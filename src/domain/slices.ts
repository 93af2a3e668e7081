import type { TurnTaker } from './fair-turns.js';

/** A turn of the event loop in which long work has gone on for so long leaves the rest to later turns. */
const sliceMs = 2;

/** Returns whether all of its work is done, so that other work may follow in the same turn. */
type Waiting = () => boolean;

/**
 * Divides long work that does not wait for anything over many turns of the event loop, so that what others do goes on in
 * between. Users take turns: a thousand waiting slices of one user delay another user by one slice only.
 */
export class Slices {
  /** Users with waiting work, in the order of their turns. */
  readonly #waiting = new Map<TurnTaker, Waiting[]>();
  /** When the work of this turn of the event loop began; undefined if there was none. */
  #startedAt: number | undefined;

  /** Whether this turn of the event loop has done enough. */
  get isOver(): boolean {
    if (this.#startedAt === undefined) this.#begin();
    return performance.now() - (this.#startedAt ?? 0) > sliceMs;
  }

  /** Resolves in a later turn of the event loop, which ends no other wait. */
  next(user: TurnTaker): Promise<void> {
    return new Promise((resolve) => {
      this.#wait(user, () => {
        resolve();
        return false;
      });
    });
  }

  /**
   * Calls a short function, at once unless this turn of the event loop has done enough: then in a later one, together with as
   * many others as fit into it.
   */
  run<T>(user: TurnTaker, work: () => T): T | Promise<Awaited<T>> {
    if (!this.isOver) return work();
    return new Promise((resolve, reject) => {
      this.#wait(user, () => {
        try {
          resolve(work() as Awaited<T>);
        } catch (error) {
          reject(error);
        }
        return true;
      });
    });
  }

  #wait(user: TurnTaker, work: Waiting): void {
    if (this.#startedAt === undefined) this.#begin();
    const waiting = this.#waiting.get(user);
    if (waiting === undefined) this.#waiting.set(user, [work]);
    else waiting.push(work);
  }

  #begin(): void {
    this.#startedAt = performance.now();
    setImmediate(this.#takeTurn);
  }

  /** What `next` resolves runs right after this function. */
  readonly #takeTurn = (): void => {
    this.#startedAt = undefined;
    if (this.#waiting.size === 0) return;
    this.#begin();
    while (this.#takeFirst() && !this.isOver);
  };

  /** Takes the first waiting work of the user whose turn it is. Returns whether other work may follow in this turn. */
  #takeFirst(): boolean {
    const next = this.#waiting.entries().next();
    if (next.done === true) return false;
    const [user, waiting] = next.value;
    const work = waiting.shift();
    this.#waiting.delete(user);
    if (waiting.length > 0) this.#waiting.set(user, waiting);
    return work?.() ?? false;
  }
}
