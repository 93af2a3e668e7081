/** Told of every connection, which stands for a device of its user. Returns how to tell that it went. */
export interface Arrivals {
  connect(userId: number): () => void;
}

/**
 * Counts the connections of each user on this instance, sockets and streams alike, and refuses those over the limit. Who
 * has a seat is present.
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

  /** How to give the seat back, or null where there is none left. Giving it back twice does nothing. */
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
