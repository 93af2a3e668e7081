export interface AllowanceOptions {
  readonly burst: number;
  readonly perSecond: number;
}

/** So many at once, and so many a second from then on. */
export class Allowance {
  readonly #burst: number;
  readonly #perSecond: number;
  #left: number;
  #countedAt = performance.now();

  constructor({ burst, perSecond }: AllowanceOptions) {
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

  /** Takes so many whether they are there or not: what is missing has to be earned before there is something left. */
  spend(count: number): void {
    this.#refill();
    this.#left -= count;
  }

  /** One more, also beyond the burst: it belongs to something that was asked for. */
  grant(): void {
    this.#refill();
    this.#left += 1;
  }

  /** How long it takes until something is left, in milliseconds; 0 where something is. */
  get restMs(): number {
    this.#refill();
    return this.#left > 0 ? 0 : Math.ceil(((1 - this.#left) / this.#perSecond) * 1_000);
  }

  get isFull(): boolean {
    this.#refill();
    return this.#left >= this.#burst;
  }

  #refill(): void {
    const now = performance.now();
    const earned = ((now - this.#countedAt) / 1_000) * this.#perSecond;
    this.#countedAt = now;
    this.#left = Math.max(this.#left, Math.min(this.#burst, this.#left + earned));
  }
}
