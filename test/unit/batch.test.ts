import { setImmediate as endOfTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { createBatch, splitBatch } from '../../src/db/batch.js';
import { collectGarbage } from '../support/garbage.js';

function createDoubles() {
  const calls: (readonly number[])[] = [];
  const batch = createBatch<number, number>(async (keys) => {
    calls.push(keys);
    return keys.map((key) => (key < 0 ? new Error(`bad ${key}`) : 2 * key)) as number[];
  }, setImmediate);
  return { batch, calls };
}

describe('createBatch', () => {
  it('loads all keys of one turn in one call, and later keys in another', async () => {
    const { batch, calls } = createDoubles();
    expect(await Promise.all([batch.load(1), batch.load(2), batch.loadMany([1, 3])])).toEqual([2, 4, [2, 6]]);
    expect(await batch.load(1)).toBe(2);
    expect(calls).toEqual([[1, 2, 1, 3], [1]]);
  });

  it('returns an error only to the caller that asked for its key', async () => {
    const { batch } = createDoubles();
    const [good, bad, both] = await Promise.allSettled([batch.load(4), batch.load(-1), batch.loadMany([5, -2])]);
    expect(good).toEqual({ status: 'fulfilled', value: 8 });
    expect(bad).toEqual({ status: 'rejected', reason: new Error('bad -1') });
    expect(both).toEqual({ status: 'fulfilled', value: [10, new Error('bad -2')] });
  });

  it('loads at most 1,000 keys at once', async () => {
    const { batch, calls } = createDoubles();
    const keys = Array.from({ length: 1_001 }, (_, index) => index);
    expect(await batch.loadMany(keys)).toEqual(keys.map((key) => 2 * key));
    expect(calls.map(({ length }) => length)).toEqual([1_000, 1]);
  });

  it('keeps neither keys nor values after it has returned them', async () => {
    const batch = createBatch<object, object>(async (keys) => keys.map(() => ({ value: true })), setImmediate);
    const ask = async () => {
      const key = {};
      return [new WeakRef(key), new WeakRef(await batch.load(key))];
    };
    const refs = await ask();
    await endOfTurn();
    await expect.poll(() => collectGarbage(refs)).toEqual([undefined, undefined]);
  });
});

describe('splitBatch', () => {
  it('splits keys into parts of 1,000 values, in their order', () => {
    const sizes = [400, 600, 1, 999, 5, 2_000, 1_000, 3];
    expect(splitBatch(sizes, (size) => size)).toEqual([[400, 600], [1, 999], [5], [2_000], [1_000], [3]]);
    expect(splitBatch([], () => 1)).toEqual([]);
  });
});
