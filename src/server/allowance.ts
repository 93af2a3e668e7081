/** So many at once, and so many a second from then on. */
export class Allowance {
  readonly #burst: number;
  readonly #perSecond: number;
  #left: number;
  #countedAt = performance.now();

  constructor({ burst, perSecond }: { burst: number; perSecond: number }) {
    this.#burst = burst;
    this.#perSecond = perSecond;
    this.#left = burst;
  }

  /** False where none is left; nothing is taken then. */
  take(): boolean {
    this.#refill();
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }

  /** One more, also beyond the burst: it belongs to something that was asked for. */
  grant(): void {
    this.#refill();
    this.#left += 1;
  }

  #refill(): void {
    const now = performance.now();
    const earned = ((now - this.#countedAt) / 1_000) * this.#perSecond;
    this.#countedAt = now;
    this.#left = Math.max(this.#left, Math.min(this.#burst, this.#left + earned));
  }
}
