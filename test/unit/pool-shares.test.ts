import { expect, it } from 'vitest';
import { shareOf } from '../../src/db/database.js';

/** What PostgreSQL leaves to ordinary users of its default of 100 connections. */
const usableConnections = 97;

it('leaves a single process all connections of a pool, whatever its size', () => {
  expect([1, 4, 10].map((size) => shareOf(size, 1))).toEqual([1, 4, 10]);
});

it('shares a pool out among workers, at least two connections for each', () => {
  expect([2, 3, 4, 5, 8].map((workers) => shareOf(10, workers))).toEqual([5, 4, 3, 2, 2]);
  expect(shareOf(100, 8)).toBe(13);
});

it('keeps the default pools of up to 8 workers below what PostgreSQL allows by default', () => {
  const pools = [10, 10, 4, 4, 4];
  for (let workers = 1; workers <= 8; workers += 1) {
    const ofWorker = pools.reduce((sum, size) => sum + shareOf(size, workers), 1);
    expect(workers * ofWorker, `${workers} workers`).toBeLessThanOrEqual(usableConnections);
  }
});
