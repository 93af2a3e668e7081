export interface AllowanceOptions {
  readonly burst: number;
  readonly perSecond: number;
}

/** A token bucket: `burst` tokens at first, refilled by `perSecond`. */
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

  /** Takes one token. False if there is none left; then nothing is taken. */
  take(): boolean {
    this.#refill();
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }

  /** Takes `count` tokens even if there are fewer: the balance becomes negative and has to be refilled first. */
  spend(count: number): void {
    this.#refill();
    this.#left -= count;
  }

  /** Adds a token, even beyond the burst. */
  grant(): void {
    this.#refill();
    this.#left += 1;
  }

  /** Milliseconds until the balance is positive; 0 if it is. */
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
