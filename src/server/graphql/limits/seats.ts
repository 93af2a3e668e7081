/** Notified of every connection, which counts as a device of its user. Call the returned function when it closes. */
export interface Arrivals {
  connect(userId: number): () => void;
}

/**
 * Counts the connections of each user on this instance, sockets and streams together, and refuses those over the limit. A
 * user with a seat is online.
 */
export class Seats {
  readonly #limit: number;
  readonly #arrivals: Arrivals;
  readonly #taken = new Map<number, number>();

  constructor(limit: number, arrivals: Arrivals) {
    this.#limit = limit;
    this.#arrivals = arrivals;
  }

  isFree(userId: number): boolean {
    return (this.#taken.get(userId) ?? 0) < this.#limit;
  }

  /** Returns a function that gives the seat back, or null if there is none left. Calling it twice is harmless. */
  take(userId: number): (() => void) | null {
    if (!this.isFree(userId)) return null;
    this.#taken.set(userId, (this.#taken.get(userId) ?? 0) + 1);
    const depart = this.#arrivals.connect(userId);
    let isTaken = true;
    return () => {
      if (!isTaken) return;
      isTaken = false;
      this.#leave(userId);
      depart();
    };
  }

  #leave(userId: number): void {
    const taken = this.#taken.get(userId) ?? 0;
    if (taken > 1) this.#taken.set(userId, taken - 1);
    else this.#taken.delete(userId);
  }
}
