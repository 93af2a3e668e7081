import { every, type Loop } from '../../domain/every.js';

const tickMs = 50;
const lateMs = 100;
/** After a late turn, so that one turn in time does not count as calm. */
const calmMs = 500;

/** Whether this process keeps up: its event loop is late by more than 100 ms, or was a moment ago. */
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
