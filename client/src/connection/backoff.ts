import type { Environment } from '../environment/environment.js';

const firstMs = 3_000;
const longestMs = 30_000;

/** Growing pauses between attempts: up to 3, 6, 12, 24, then 30 s, each anywhere below, so that clients do not come together. */
export class Backoff {
  #attempts = 0;

  constructor(private readonly environment: Pick<Environment, 'random'>) {}

  /** The next pause in milliseconds. */
  next(): number {
    const limit = Math.min(firstMs * 2 ** this.#attempts, longestMs);
    this.#attempts += 1;
    return this.environment.random() * limit;
  }

  reset(): void {
    this.#attempts = 0;
  }
}
