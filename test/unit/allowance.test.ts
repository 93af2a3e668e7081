import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Allowance } from '../../src/domain/allowance.js';

describe('an allowance', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }));
  afterEach(() => void vi.useRealTimers());

  const takeAll = (allowance: Allowance): number => {
    let taken = 0;
    while (allowance.take()) taken += 1;
    return taken;
  };

  it('gives a burst at once, then so many a second, and never more than the burst', () => {
    const allowance = new Allowance({ burst: 5, perSecond: 2 });
    expect(takeAll(allowance)).toBe(5);
    vi.advanceTimersByTime(1_500);
    expect(takeAll(allowance)).toBe(3);
    vi.advanceTimersByTime(60_000);
    expect(takeAll(allowance)).toBe(5);
  });

  it('keeps what was granted, also beyond the burst', () => {
    const allowance = new Allowance({ burst: 5, perSecond: 2 });
    for (let count = 0; count < 10; count += 1) allowance.grant();
    vi.advanceTimersByTime(10_000);
    expect(takeAll(allowance)).toBe(15);
  });
});
