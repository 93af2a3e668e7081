import { onTestFailed } from 'vitest';

const defaultSeed = 20_261_121;

/** Pseudo-random numbers, the same for the same seed: mulberry32. */
export class Random {
  #state: number;

  constructor(readonly seed: number) {
    this.#state = seed;
  }

  /** Returns a number from 0 to 1, excluding 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** Returns an integer from `low` to `high`, including both. */
  between(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.between(0, choices.length - 1)] as T;
  }

  /** Returns separate numbers for one of several parties, so that no party changes the numbers of another. */
  fork(): Random {
    return new Random(this.between(0, 2 ** 31));
  }
}

/** Random numbers for the running test. `TEST_SEED` sets another seed; a failure shows its seed. */
export function useRandom(): Random {
  const random = new Random(Number(process.env.TEST_SEED ?? defaultSeed));
  onTestFailed(({ task }) => {
    for (const error of task.result?.errors ?? []) error.message += `\n(TEST_SEED=${random.seed})`;
  });
  return random;
}
