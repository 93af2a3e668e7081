import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ChatError } from '../../src/domain/errors.js';
import { FairTurns, type FairTurnsOptions, type TurnTaker, type Wait } from '../../src/domain/fair-turns.js';

const plenty = { burst: 1_000_000, perSecond: 1_000_000 };

/** Work that ends when the test calls `end`; `begun` lists the work that has begun. */
function createCrowd(options: Partial<FairTurnsOptions>) {
  const turns = new FairTurns({ atOncePerUser: 1, maxWaitingPerUser: 100, allowance: plenty, ...options });
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  return {
    turns,
    begun,
    take(user: TurnTaker, name: string, wait?: Wait) {
      const work = () =>
        new Promise<string>((resolve) => {
          begun.push(name);
          ends.set(name, () => resolve(name));
        });
      const taken = turns.take(user, work, wait);
      taken.catch(() => undefined);
      return taken;
    },
    async end(name: string) {
      ends.get(name)?.();
      await turn();
      await turn();
    },
  };
}

describe('turns by user', () => {
  it('run a limited number per user at once, in order, and do not hold up other users', async () => {
    const { begun, take, end } = createCrowd({ atOncePerUser: 2 });
    for (const name of ['a1', 'a2', 'a3', 'a4']) void take('a', name);
    void take('b', 'b1');
    await turn();
    expect(begun).toEqual(['a1', 'a2', 'b1']);
    await end('a2');
    expect(begun).toEqual(['a1', 'a2', 'b1', 'a3']);
    await end('a1');
    await end('a3');
    expect(begun).toEqual(['a1', 'a2', 'b1', 'a3', 'a4']);
  });

  it('run expensive work alone', async () => {
    const { begun, take, end } = createCrowd({ atOncePerUser: 4, costAtOnce: 10 });
    for (const [name, cost] of [
      ['a1', 4],
      ['a2', 6],
      ['a3', 1],
      ['a4', 50],
      ['a5', 1],
    ] as const)
      void take('a', name, { cost });
    void take('b', 'b1', { cost: 50 });
    await turn();
    expect(begun).toEqual(['a1', 'a2', 'b1']);
    await end('a1');
    expect(begun).toEqual(['a1', 'a2', 'b1', 'a3']);
    await end('a2');
    await end('a3');
    expect(begun).toEqual(['a1', 'a2', 'b1', 'a3', 'a4']);
    await end('a4');
    expect(begun).toEqual(['a1', 'a2', 'b1', 'a3', 'a4', 'a5']);
  });

  it('alternate between users if not all work fits at once, even if one user queued a lot first', async () => {
    const { begun, take, end } = createCrowd({ atOnce: 1 });
    for (const name of ['a1', 'a2', 'a3', 'a4']) void take('a', name);
    void take('b', 'b1');
    void take('b', 'b2');
    void take('c', 'c1');
    await turn();
    for (const name of ['a1', 'a2', 'b1', 'c1', 'a3', 'b2']) await end(name);
    expect(begun).toEqual(['a1', 'a2', 'b1', 'c1', 'a3', 'b2', 'a4']);
  });

  it('never run more at once than the limit, and keep a failure to the work that failed', async () => {
    const turns = new FairTurns({ atOnce: 3, atOncePerUser: 2, maxWaitingPerUser: 100, allowance: plenty });
    let underWay = 0;
    let most = 0;
    const work = async (number: number) => {
      underWay += 1;
      most = Math.max(most, underWay);
      await turn();
      underWay -= 1;
      if (number % 3 === 0) throw new Error('failed');
      return number;
    };
    const all = Array.from({ length: 60 }, (_, number) => turns.take(number % 5, () => work(number)));
    const settled = await Promise.allSettled(all);
    expect(most).toBe(3);
    expect(settled.filter(({ status }) => status === 'fulfilled')).toHaveLength(40);
  });

  it('refuse new work of a user with too much waiting work, unless it is patient', async () => {
    const { begun, take, end } = createCrowd({ maxWaitingPerUser: 2 });
    for (const name of ['a1', 'a2', 'a3']) void take('a', name);
    await expect(take('a', 'a4')).rejects.toMatchObject({ code: 'RATE_LIMITED', retryAfterMs: 1_000 });
    void take('a', 'a5', { isPatient: true });
    void take('b', 'b1');
    await turn();
    for (const name of ['a1', 'a2', 'a3']) await end(name);
    expect(begun).toEqual(['a1', 'b1', 'a2', 'a3', 'a5']);
  });

  it('drop work that nobody waits for any more, before and while it waits', async () => {
    const { begun, take, end } = createCrowd({});
    const leaving = new AbortController();
    void take('a', 'a1');
    const second = take('a', 'a2', { signal: () => leaving.signal });
    void take('a', 'a3');
    leaving.abort();
    await expect(second).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(take('a', 'a4', { signal: () => leaving.signal })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await end('a1');
    await end('a3');
    expect(begun).toEqual(['a1', 'a3']);
  });

  it('reject aborted work with the reason of its signal', async () => {
    const { take } = createCrowd({});
    const end = new AbortController();
    void take('a', 'a1');
    const second = take('a', 'a2', { signal: () => end.signal });
    end.abort(new ChatError('CONFLICT', 'not any more'));
    await expect(second).rejects.toMatchObject({ code: 'CONFLICT' });
  });

  it('skip work that cannot claim yet what it needs', async () => {
    const { turns, begun, take, end } = createCrowd({ atOncePerUser: 2 });
    const taken = new Set(['room']);
    const claim = () => !taken.has('room') && taken.add('room').size > 0;
    for (const name of ['a1', 'a2']) void take('a', name, { claim });
    void take('a', 'a3');
    void take('b', 'b1', { claim });
    await turn();
    expect(begun).toEqual(['a3']);
    // The user who began last is called last.
    for (const name of ['b1', 'a1', 'a2']) {
      taken.delete('room');
      turns.call();
      await turn();
      await end(name);
    }
    expect(begun).toEqual(['a3', 'b1', 'a1', 'a2']);
  });

  it('do not ask for a signal if there is no wait', async () => {
    const { begun, take } = createCrowd({});
    const signal = vi.fn();
    void take('a', 'a1', { signal });
    await turn();
    expect(begun).toEqual(['a1']);
    expect(signal).not.toHaveBeenCalled();
  });
});

describe('turns by user, in time', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('refuse work that has waited for too long', async () => {
    const { begun, take } = createCrowd({ maxWaitMs: 500 });
    void take('a', 'a1');
    const second = take('a', 'a2');
    const patient = take('a', 'a3', { isPatient: true });
    await vi.advanceTimersByTimeAsync(600);
    await expect(second).rejects.toMatchObject({ code: 'RATE_LIMITED' });
    expect(begun).toEqual(['a1']);
    expect(await Promise.race([patient, Promise.resolve('waits')])).toBe('waits');
  });

  it('hold up a user who has spent the allowance until it refills, and no other user', async () => {
    const { begun, turns, take } = createCrowd({ atOncePerUser: 9, allowance: { burst: 100, perSecond: 100 } });
    void take('a', 'a1', { cost: 150 });
    void take('a', 'a2', { cost: 150 });
    void take('a', 'a3', { cost: 1 });
    void take('b', 'b1', { cost: 1 });
    await vi.advanceTimersByTimeAsync(400);
    expect(begun).toEqual(['a1', 'b1']);
    await vi.advanceTimersByTimeAsync(200);
    expect(begun).toEqual(['a1', 'b1', 'a2']);
    await vi.advanceTimersByTimeAsync(1_400);
    expect(begun).toEqual(['a1', 'b1', 'a2']);
    await vi.advanceTimersByTimeAsync(200);
    expect(begun).toEqual(['a1', 'b1', 'a2', 'a3']);
    turns.charge('b', 300);
    void take('b', 'b2');
    await vi.advanceTimersByTimeAsync(1_500);
    expect(begun).not.toContain('b2');
    await vi.advanceTimersByTimeAsync(1_000);
    expect(begun).toContain('b2');
  });

  it('say until when the own limits of a user have held up the work', async () => {
    const { begun, turns, take, end } = createCrowd({ atOnce: 2, allowance: { burst: 100, perSecond: 100 } });
    const never = Number.NEGATIVE_INFINITY;
    const passMs = (ms: number) => vi.advanceTimersByTimeAsync(ms);
    void take('a', 'a1');
    void take('b', 'b1');
    void take('c', 'c1');
    await passMs(100);
    expect([turns.heldUntil('a'), turns.heldUntil('c'), turns.heldUntil('d')], 'for others').toEqual([
      never,
      never,
      never,
    ]);
    void take('a', 'a2', { cost: 150 });
    await passMs(100);
    expect(turns.heldUntil('a'), 'for a turn').toBe(performance.now());
    const freeAt = performance.now();
    void end('a1');
    await passMs(50);
    void end('c1');
    await passMs(50);
    expect(begun).toEqual(['a1', 'b1', 'c1', 'a2']);
    expect(turns.heldUntil('a')).toBe(freeAt);
    expect(turns.heldUntil('c')).toBe(never);
    void take('a', 'a3', { cost: 1 });
    void end('a2');
    await passMs(100);
    expect(turns.heldUntil('a'), 'for the allowance').toBe(performance.now());
    await passMs(1_000);
    expect(turns.heldUntil('a')).toBeLessThan(performance.now() - 400);
    void end('b1');
    void take('d', 'd1', { isLarge: true });
    await passMs(100);
    expect(turns.heldUntil('d'), 'for large work').toBe(performance.now());
    void end('d1');
    await passMs(100);
    expect(turns.heldUntil('d')).toBe(performance.now() - 100);
  });

  it('forget a user whose allowance is full again', async () => {
    const { turns } = createCrowd({ allowance: { burst: 100, perSecond: 10 } });
    for (let user = 0; user < 100; user += 1) await turns.take(user, () => undefined, { cost: 50 });
    expect(turns.size).toBe(100);
    await vi.advanceTimersByTimeAsync(20_000);
    expect(turns.size).toBe(0);
  });
});
