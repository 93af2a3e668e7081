import { every, type Loop } from '../../domain/every.js';

const tickMs = 50;
const lateMs = 100;
/** The load counts as high for this long after a late turn, so that a single timely turn does not end it. */
const calmMs = 500;

/** Measures whether this process keeps up. `isHigh` while its event loop is more than 100 ms late, and for a moment after. */
export class LoadGauge {
  readonly #looking: Loop;
  #tickedAt = performance.now();
  #lateAt = Number.NEGATIVE_INFINITY;

  constructor() {
    this.#looking = every(tickMs, () => this.#look());
  }

  get isHigh(): boolean {
    return performance.now() - this.#lateAt < calmMs || performance.now() - this.#tickedAt > tickMs + lateMs;
  }

  close(): void {
    void this.#looking.stop();
  }

  #look(): void {
    const now = performance.now();
    if (now - this.#tickedAt > tickMs + lateMs) this.#lateAt = now;
    this.#tickedAt = now;
  }
}
