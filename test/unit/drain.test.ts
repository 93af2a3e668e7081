import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { drain } from '../../src/domain/drain.js';

describe('drain', () => {
  let underWay: number;
  let isDrained: boolean;
  const start = () =>
    drain(() => underWay === 0, 5_000).then(() => {
      isDrained = true;
    });

  beforeEach(() => {
    vi.useFakeTimers();
    [underWay, isDrained] = [2, false];
  });
  afterEach(() => void vi.useRealTimers());

  it('resolves at once if nothing is under way', async () => {
    underWay = 0;
    await start();
    expect(vi.getTimerCount()).toBe(0);
  });

  it('resolves soon after the last work ends', async () => {
    const draining = start();
    await vi.advanceTimersByTimeAsync(1_000);
    underWay = 1;
    await vi.advanceTimersByTimeAsync(1_000);
    expect(isDrained).toBe(false);
    underWay = 0;
    await vi.advanceTimersByTimeAsync(10);
    await draining;
  });

  it('resolves at the deadline even if something is still under way', async () => {
    const draining = start();
    await vi.advanceTimersByTimeAsync(4_900);
    expect(isDrained).toBe(false);
    await vi.advanceTimersByTimeAsync(110);
    await draining;
  });
});
