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

  it('gives a burst at once, then a fixed number per second, and never more than the burst', () => {
    const allowance = new Allowance({ burst: 5, perSecond: 2 });
    expect(takeAll(allowance)).toBe(5);
    vi.advanceTimersByTime(1_500);
    expect(takeAll(allowance)).toBe(3);
    vi.advanceTimersByTime(60_000);
    expect(takeAll(allowance)).toBe(5);
  });

  it('lends more than it has, and earns the debt back before it gives again', () => {
    const allowance = new Allowance({ burst: 5, perSecond: 2 });
    allowance.spend(9);
    expect(allowance.take()).toBe(false);
    expect(allowance.restMs).toBe(2_500);
    vi.advanceTimersByTime(2_500);
    expect(allowance.restMs).toBe(0);
    expect(takeAll(allowance)).toBe(1);
    expect(allowance.isFull).toBe(false);
    vi.advanceTimersByTime(2_500);
    expect(allowance.isFull).toBe(true);
  });

  it('keeps all grants, even beyond the burst', () => {
    const allowance = new Allowance({ burst: 5, perSecond: 2 });
    for (let count = 0; count < 10; count += 1) allowance.grant();
    vi.advanceTimersByTime(10_000);
    expect(takeAll(allowance)).toBe(15);
  });
});
