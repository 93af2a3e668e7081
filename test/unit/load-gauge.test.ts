import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { steps } from '../../src/pubsub/live/intervals.js';
import { LoadGauge } from '../../src/pubsub/live/load-gauge.js';

const [atEase, busiest] = [steps[0], steps.at(-1)] as [(typeof steps)[0], (typeof steps)[0]];

describe('the load gauge', () => {
  let load: LoadGauge;
  let entriesLateMs: number;

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['performance', 'setInterval', 'clearInterval'] });
    load = new LoadGauge();
    entriesLateMs = 0;
    load.measureEntries(() => entriesLateMs);
  });
  afterEach(() => {
    load.close();
    vi.useRealTimers();
  });

  const waiter = () => ({ wake: vi.fn() });

  it('wakes each listener once its interval has passed', async () => {
    const [early, late] = [waiter(), waiter()];
    expect(load.isDue('typing', Number.NEGATIVE_INFINITY, early)).toBe(true);
    expect(load.isDue('typing', performance.now(), early)).toBe(false);
    await vi.advanceTimersByTimeAsync(100);
    expect(load.isDue('typing', performance.now(), late)).toBe(false);
    await vi.advanceTimersByTimeAsync(200);
    expect([early.wake.mock.calls.length, late.wake.mock.calls.length]).toEqual([1, 0]);
    await vi.advanceTimersByTimeAsync(500);
    expect([early.wake.mock.calls.length, late.wake.mock.calls.length]).toEqual([1, 1]);
  });

  it('does not wake a listener that was forgotten', async () => {
    const ended = waiter();
    load.isDue('typing', performance.now(), ended);
    load.forget(ended);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(ended.wake).not.toHaveBeenCalled();
  });

  it('widens the intervals while the event loop or the entries are late, and wakes all who wait soon after', async () => {
    entriesLateMs = 3_000;
    await vi.advanceTimersByTimeAsync(50);
    expect(load.entriesLateMs).toBe(3_000);
    expect(load.intervalMs('inbox')).toBe(busiest.inbox);
    const waiting = Array.from({ length: 2_000 }, waiter);
    for (const each of waiting) load.isDue('typing', performance.now() - 400, each);
    const countWoken = () => waiting.filter(({ wake }) => wake.mock.calls.length > 0).length;
    await vi.advanceTimersByTimeAsync(1_000);
    expect(countWoken(), 'woken under load').toBe(0);

    entriesLateMs = 0;
    let most = 0;
    for (let ticks = 0, before = 0; ticks < 200; ticks += 1, before = countWoken()) {
      await vi.advanceTimersByTimeAsync(50);
      most = Math.max(most, countWoken() - before);
    }

    expect([countWoken(), most], 'all, and those of one tick').toEqual([2_000, 500]);
    await vi.advanceTimersByTimeAsync(3_000);
    for (const kind of ['inbox', 'typing', 'presence'] as const) expect(load.intervalMs(kind)).toBe(atEase[kind]);
  });

  it('reports the worst lateness since the last read', async () => {
    entriesLateMs = 700;
    await vi.advanceTimersByTimeAsync(50);
    entriesLateMs = 20;
    await vi.advanceTimersByTimeAsync(50);
    expect(load.takeWorst('entriesMs')).toBe(700);
    await vi.advanceTimersByTimeAsync(50);
    expect(load.takeWorst('entriesMs')).toBe(20);
  });
});
