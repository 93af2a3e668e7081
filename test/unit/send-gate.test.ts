import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ChatError } from '../../src/domain/errors.js';
import { SendGate } from '../../src/domain/send-gate.js';

describe('the gate of sends', () => {
  let gate: SendGate;
  let lateMs: number;
  let begun: string[];
  let refused: unknown[];

  beforeEach(() => {
    vi.useFakeTimers({
      toFake: ['performance', 'setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'setImmediate'],
    });
    [lateMs, begun, refused] = [0, [], []];
    gate = new SendGate(() => lateMs);
  });
  afterEach(() => {
    gate.close();
    vi.restoreAllMocks();
    vi.useRealTimers();
  });

  const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
  const send = (user: number, name = `${user}`) =>
    gate.enter(user).then(
      () => void begun.push(name),
      (error: unknown) => void refused.push(error),
    );
  /** Sends evenly, by users in turn. */
  const talk = async (perSecond: number, seconds: number, users = 50) => {
    for (let sent = 0; sent < perSecond * seconds; sent += 1) {
      void send(sent % users);
      await pass(1_000 / perSecond);
    }
  };

  it('is open while entries are in time: any number begins at once', async () => {
    for (let sent = 0; sent < 5_000; sent += 1) void send(1);
    await pass(0);
    expect([begun.length, gate.waiting, gate.slowed]).toEqual([5_000, 0, 0]);
  });

  it('lets nearly nothing begin while entries are late by a second, and all who wait once they are in time', async () => {
    await talk(100, 2);
    lateMs = 1_000;
    await pass(100);
    const before = begun.length;
    for (let user = 1; user <= 15; user += 1) void send(user);
    await pass(500);
    expect(begun.length - before).toBeLessThanOrEqual(1);
    lateMs = 0;
    await pass(450);
    expect([begun.length - before, refused]).toEqual([15, []]);
  });

  it('lets fewer begin the later entries are', async () => {
    const counts: number[] = [];
    for (const late of [400, 600, 800]) {
      gate.close();
      gate = new SendGate(() => lateMs);
      lateMs = 0;
      await talk(100, 5);
      lateMs = late;
      await pass(100);
      const before = begun.length;
      await talk(100, 1);
      counts.push(begun.length - before);
      await pass(5_000);
    }
    const [few, fewer, fewest] = counts as [number, number, number];
    expect(few).toBeLessThan(95);
    expect(fewer).toBeLessThan(few);
    expect(fewest).toBeLessThan(fewer);
    expect(fewest).toBeGreaterThan(10);
  });

  it('lets users take turns, and the sends of each begin in their order', async () => {
    await talk(20, 2);
    lateMs = 1_000;
    await pass(100);
    begun = [];
    for (let sent = 1; sent <= 15; sent += 1) void send(1, `1-${sent}`);
    for (const user of [2, 3]) for (let sent = 1; sent <= 3; sent += 1) void send(user, `${user}-${sent}`);
    lateMs = 0;
    await pass(900);
    expect(begun.length).toBeGreaterThan(9);
    const perUser = [1, 2, 3].map((user) => begun.filter((name) => name.startsWith(`${user}-`)));
    for (const names of perUser)
      expect(names).toEqual(names.toSorted((a, b) => Number(a.slice(2)) - Number(b.slice(2))));
    const firstNine = begun.slice(0, 9).map((name) => name[0]);
    expect(firstNine.toSorted().join('')).toBe('111222333');
  });

  it('does not let a later send overtake one that waits', async () => {
    await talk(100, 2);
    lateMs = 1_000;
    await pass(100);
    for (const name of ['first', 'second', 'third']) void send(1, name);
    lateMs = 0;
    for (let at = 0; at < 20; at += 1) {
      void send(1, `later ${at}`);
      await pass(50);
    }
    const own = begun.filter((name) => /[a-z]/.test(name));
    expect(own.slice(0, 4)).toEqual(['first', 'second', 'third', 'later 0']);
  });

  it('refuses after a second, with RATE_LIMITED and the time to wait', async () => {
    lateMs = 5_000;
    await pass(100);
    for (let sent = 0; sent < 10; sent += 1) void send(1);
    await pass(900);
    expect(refused).toEqual([]);
    await pass(200);
    expect(refused.length).toBeGreaterThan(5);
    for (const error of refused) {
      expect(error).toBeInstanceOf(ChatError);
      expect(error).toMatchObject({ code: 'RATE_LIMITED', retryAfterMs: expect.any(Number) });
      expect((error as ChatError).retryAfterMs).toBeGreaterThanOrEqual(1_000);
    }
    expect([gate.refused, gate.waiting]).toEqual([refused.length, 0]);
  });

  it('refuses at once beyond 20 waiting sends of a user and 1,000 of all', async () => {
    lateMs = 5_000;
    await pass(100);
    for (let sent = 0; sent < 25; sent += 1) void send(1);
    await pass(0);
    expect(refused.length).toBe(5);
    for (let user = 2; user < 1_100; user += 1) void send(user);
    await pass(0);
    expect(gate.waiting).toBe(1_000);
    expect(gate.refused + gate.waiting).toBe(gate.slowed);
  });

  it('stays closed while the lateness goes up and down, and opens after a calm second', async () => {
    await talk(100, 2);
    const slowedWith = async (late: number) => {
      lateMs = late;
      await pass(200);
      const before = gate.slowed;
      void send(1);
      await pass(0);
      return gate.slowed > before;
    };
    expect(await slowedWith(1_000)).toBe(true);
    for (let times = 0; times < 5; times += 1) {
      expect(await slowedWith(100), 'still closed').toBe(true);
      expect(await slowedWith(600)).toBe(true);
    }
    lateMs = 0;
    await pass(3_000);
    expect(await slowedWith(0)).toBe(false);
  });

  it('lets as many begin as before soon after the process stood still for a while', async () => {
    await talk(50, 5);
    const { now } = performance;
    vi.spyOn(performance, 'now').mockImplementation(() => now.call(performance) + 10_000);
    lateMs = 10_000;
    await pass(100);
    lateMs = 0;
    const before = begun.length;
    await talk(50, 3);
    expect(begun.length - before).toBeGreaterThan(100);
  });

  it('does not let more begin than were asked for in time, however long entries are late now and then', async () => {
    const spikes = async (times: number) => {
      for (let at = 0; at < times; at += 1) {
        lateMs = 300;
        await pass(100);
        lateMs = 0;
        await talk(20, 0.8);
      }
    };
    await talk(20, 5);
    await spikes(200);
    lateMs = 600;
    await pass(100);
    const before = begun.length;
    await talk(400, 2);
    expect(begun.length - before).toBeLessThan(50);
  });

  it.each([1.5, 2])('holds the delay under two seconds at %f times what the process delivers', async (factor) => {
    const perSecond = 100;
    const stepMs = 50;
    const waiting: number[] = [];
    const delays: number[] = [];
    let [credit, due, user] = [0, 0, 0];
    const deliver = () => {
      credit = Math.min(credit + (perSecond * stepMs) / 1_000, perSecond / 10);
      for (; credit >= 1 && waiting.length > 0; credit -= 1) delays.push(performance.now() - (waiting.shift() ?? 0));
      lateMs = performance.now() - (waiting[0] ?? performance.now());
    };
    const run = async (load: number, seconds: number) => {
      for (let at = 0; at < (seconds * 1_000) / stepMs; at += 1) {
        for (due += (load * stepMs) / 1_000; due >= 1; due -= 1) {
          user = (user + 7) % 400;
          void gate.enter(user).then(
            () => waiting.push(performance.now()),
            (error) => refused.push(error),
          );
        }
        await pass(stepMs);
        deliver();
      }
    };
    await run(0.7 * perSecond, 3);
    const before = delays.length;
    await run(factor * perSecond, 30);
    expect(Math.max(...delays)).toBeLessThan(2_000);
    expect(delays.length - before, 'what is delivered under load').toBeGreaterThan(0.8 * 30 * perSecond);
    expect(refused.length).toBeGreaterThan(0);
    await run(perSecond / 2, 5);
    const { slowed } = gate;
    await run(perSecond / 2, 1);
    expect(gate.slowed, 'back to normal after 5 s').toBe(slowed);
  });
});
