import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { every, type Loop } from '../../src/domain/every.js';

describe('every', () => {
  let loop: Loop;
  let runs: number;
  const count = () => {
    runs += 1;
  };

  beforeEach(() => {
    vi.useFakeTimers();
    runs = 0;
  });
  afterEach(async () => {
    await loop.stop();
    vi.useRealTimers();
  });

  it('runs after each interval', async () => {
    loop = every(100, count);
    await vi.advanceTimersByTimeAsync(99);
    expect(runs).toBe(0);
    await vi.advanceTimersByTimeAsync(301);
    expect(runs).toBe(4);
  });

  it('also runs at once if it is asked to', async () => {
    loop = every(100, count, { atOnce: true });
    expect(runs).toBe(1);
    await vi.advanceTimersByTimeAsync(100);
    expect(runs).toBe(2);
  });

  it('skips a run while another one is under way', async () => {
    const ends: (() => void)[] = [];
    loop = every(100, () => new Promise((resolve) => ends.push(resolve)), { atOnce: true });
    await vi.advanceTimersByTimeAsync(1_050);
    expect(ends).toHaveLength(1);
    ends[0]?.();
    await vi.advanceTimersByTimeAsync(50);
    expect(ends).toHaveLength(2);
    ends[1]?.();
  });

  it.each([
    [
      'throws',
      () => {
        throw new Error('no');
      },
    ],
    ['rejects', () => Promise.reject(new Error('no'))],
  ])('goes on after a run that %s', async (_how, action) => {
    const errors: unknown[] = [];
    loop = every(100, action, { atOnce: true, onError: (error) => errors.push(error) });
    await vi.advanceTimersByTimeAsync(200);
    expect(errors).toHaveLength(3);
  });

  it('starts no run once it is stopped, and waits for the one under way', async () => {
    const ends: (() => void)[] = [];
    loop = every(100, () => new Promise<void>((resolve) => ends.push(resolve)).then(count), { atOnce: true });
    let isStopped = false;
    const stopping = loop.stop().then(() => {
      isStopped = true;
    });
    await vi.advanceTimersByTimeAsync(1_000);
    expect([runs, isStopped]).toEqual([0, false]);
    ends[0]?.();
    await stopping;
    await vi.advanceTimersByTimeAsync(1_000);
    expect(runs).toBe(1);
  });

  it('can be stopped by its own action', async () => {
    loop = every(100, () => {
      count();
      void loop.stop();
    });
    await vi.advanceTimersByTimeAsync(1_000);
    expect(runs).toBe(1);
  });

  it('does not keep the process alive', () => {
    vi.useRealTimers();
    const before = process.getActiveResourcesInfo();
    loop = every(100, count);
    expect(process.getActiveResourcesInfo()).toEqual(before);
  });
});
