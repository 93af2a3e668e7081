import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { MarkMove } from '../../src/domain/room-log.js';
import type { Listener } from '../../src/domain/source.js';
import { Listeners } from '../../src/pubsub/live/listeners.js';
import { readMark } from '../../src/pubsub/live/room/room-states.js';
import { SingleStates } from '../../src/pubsub/live/room/single-states.js';

const here = { seq: 100, epoch: 'epoch' };

let states: SingleStates<MarkMove>;
let gapMs: number;
let woken = 0;
const subscriber: Listener = {
  wake: () => {
    woken += 1;
  },
};

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  woken = 0;
  states = new SingleStates(readMark, new Listeners(() => undefined), () => gapMs);
  gapMs = 1_000;
  states.listen(subscriber);
});
afterEach(() => {
  states.close();
  vi.useRealTimers();
});

it("shows a key's first state at once, and the newest of its later ones at the end of its second", async () => {
  states.accept(markOf(4, 1));
  expect(take()).toEqual([[4, 1]]);
  for (let seq = 2; seq <= 20; seq += 1) {
    states.accept(markOf(4, seq));
    await vi.advanceTimersByTimeAsync(10);
  }
  states.accept(markOf(5, 1));
  expect(take(), 'of another key at once').toEqual([[5, 1]]);

  await vi.advanceTimersByTimeAsync(700);
  expect(take()).toEqual([]);
  await vi.advanceTimersByTimeAsync(200);

  expect(take()).toEqual([[4, 20]]);
});

it('shows later states of a key less often while the gap is wide, and soon after it narrows', async () => {
  gapMs = 5_000;
  states.accept(markOf(4, 1));
  states.accept(markOf(4, 2));
  expect(take()).toEqual([[4, 1]]);
  await vi.advanceTimersByTimeAsync(3_500);
  expect(take()).toEqual([]);
  gapMs = 1_000;
  await vi.advanceTimersByTimeAsync(1_000);
  expect(take()).toEqual([[4, 2]]);
});

it('shows a key that keeps changing once a second, and nothing when it has stopped', async () => {
  const shown: unknown[] = [];
  for (let seq = 1; seq <= 100; seq += 1) {
    states.accept(markOf(4, seq));
    await vi.advanceTimersByTimeAsync(50);
    shown.push(...take());
  }
  await vi.advanceTimersByTimeAsync(1_000);
  shown.push(...take());
  await vi.advanceTimersByTimeAsync(10_000);

  expect(shown.length).toBeGreaterThanOrEqual(5);
  expect(shown.length).toBeLessThanOrEqual(6);
  expect(shown.at(-1)).toEqual([4, 100]);
  expect(take()).toEqual([]);
  expect(vi.getTimerCount()).toBe(0);
});

it('wakes its subscribers once in a turn, and not for a state that has to wait or is not newer', async () => {
  states.accept(markOf(4, 1));
  states.accept(markOf(5, 1));
  await turn();
  expect(woken).toBe(1);

  states.accept(markOf(4, 2));
  states.accept(markOf(5, 1));
  await turn();
  expect(woken).toBe(1);

  await vi.advanceTimersByTimeAsync(1_000);
  await turn();
  expect(woken).toBe(2);
});

it('lets no state wait without a subscriber, and shows nothing of before to the next one', async () => {
  states.accept(markOf(4, 1));
  states.accept(markOf(4, 2));
  states.forget(subscriber);
  states.accept(markOf(4, 3));
  await vi.advanceTimersByTimeAsync(5_000);
  expect([vi.getTimerCount(), woken]).toEqual([0, 0]);

  const start = states.version;
  states.listen(subscriber);
  for (const seq of [1, 2, 3]) states.accept(markOf(4, seq));
  expect(states.version, 'a repetition is recognised').toBe(start);
  states.accept(markOf(4, 4));
  expect(states.next(start, here)?.event).toMatchObject({ member: { lastReadSeq: 4 } });
});

it('forgets what waits when it is cleared', async () => {
  states.accept(markOf(4, 1));
  states.accept(markOf(4, 2));
  const seen = states.version;
  states.clear();
  await vi.advanceTimersByTimeAsync(5_000);
  expect(states.next(seen, here)).toBeUndefined();

  states.accept(markOf(4, 1));
  expect(states.next(seen, here)?.event, 'a mark may be lower now, and comes at once').toMatchObject({
    member: { lastReadSeq: 1 },
  });
});

it('keeps as many waiting keys as it keeps states, whatever is published', async () => {
  for (const seq of [1, 2]) for (let userId = 1; userId <= 10_010; userId += 1) states.accept(markOf(userId, seq));
  expect(take()).toHaveLength(10_000);
  await vi.advanceTimersByTimeAsync(1_050);
  expect(take().length).toBeLessThanOrEqual(10_000);
});

let version = 0;
beforeEach(() => {
  version = 0;
});

/** The states that a subscriber gets now. */
function take(): unknown[] {
  const taken: unknown[] = [];
  for (let news = states.next(version, here); news !== undefined; news = states.next(version, here)) {
    version = news.version;
    taken.push(news.event.kind === 'read' && [news.event.member.userId, news.event.member.lastReadSeq]);
  }
  return taken;
}

const markOf = (userId: number, lastReadSeq: number) =>
  ({ roomId: 'room', userId, lastReadSeq, previousSeq: null }) as MarkMove;
