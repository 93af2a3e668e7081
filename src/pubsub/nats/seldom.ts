const quietMs = 60_000;

/**
 * For what others can bring about as often as they like: the first time is told at once, later ones at most once a minute,
 * with how many there have been since the last telling.
 */
export class Seldom {
  #count = 0;
  #since = 0;
  #toldAt = Number.NEGATIVE_INFINITY;

  /** How often it has happened. */
  get count(): number {
    return this.#count;
  }

  note(tell: (times: number) => void): void {
    this.#count += 1;
    this.#since += 1;
    const now = performance.now();
    if (now < this.#toldAt + quietMs) return;
    this.#toldAt = now;
    tell(this.#since);
    this.#since = 0;
  }
}
