/** Counts the connections of each user on this instance, sockets and streams alike, and refuses those over the limit. */
export class Seats {
  readonly #limit: number;
  readonly #taken = new Map<number, number>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** How to give the seat back, or null where there is none left. Giving it back twice does nothing. */
  take(userId: number): (() => void) | null {
    const taken = this.#taken.get(userId) ?? 0;
    if (taken >= this.#limit) return null;
    this.#taken.set(userId, taken + 1);
    let isTaken = true;
    return () => {
      if (isTaken) this.#leave(userId);
      isTaken = false;
    };
  }

  #leave(userId: number): void {
    const taken = this.#taken.get(userId) ?? 0;
    if (taken > 1) this.#taken.set(userId, taken - 1);
    else this.#taken.delete(userId);
  }
}
