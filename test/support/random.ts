import { onTestFailed } from 'vitest';

const defaultSeed = 20_261_121;

/** Numbers that look random and are the same for the same seed: mulberry32. */
export class Random {
  #state: number;

  constructor(readonly seed: number) {
    this.#state = seed;
  }

  /** From 0 up to, not including, 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number, both ends included. */
  between(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.between(0, choices.length - 1)] as T;
  }

  /** Numbers of its own for one of several parties, so that none of them changes what another one draws. */
  fork(): Random {
    return new Random(this.between(0, 2 ** 31));
  }
}

/** Randomness for the running test. `TEST_SEED` tries another course; a failure says which one it was. */
export function useRandom(): Random {
  const random = new Random(Number(process.env.TEST_SEED ?? defaultSeed));
  onTestFailed(({ task }) => {
    for (const error of task.result?.errors ?? []) error.message += `\n(TEST_SEED=${random.seed})`;
  });
  return random;
}
