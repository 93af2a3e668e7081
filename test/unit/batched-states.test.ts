import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { MarkMove } from '../../src/domain/room-log.js';
import { Listeners } from '../../src/pubsub/live/listeners.js';
import { BatchedStates } from '../../src/pubsub/live/room/batched-states.js';
import { readMark } from '../../src/pubsub/live/room/room-states.js';

const here = { seq: 100, epoch: 'epoch' };

let states: BatchedStates<MarkMove>;
let gapMs: number;
let woken = 0;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  woken = 0;
  states = new BatchedStates(readMark, new Listeners(() => undefined), { gapMs: () => gapMs, maxPerEvent: 500 });
  gapMs = 1_000;
  states.listen({
    wake: () => {
      woken += 1;
    },
  });
});
afterEach(() => {
  states.close();
  vi.useRealTimers();
});

it('shows all states of a second in one event, of each key only the newest', async () => {
  for (const seq of [1, 2]) for (const userId of [4, 5, 6]) states.accept(markOf(userId, seq));
  states.accept(markOf(4, 3));
  await vi.advanceTimersByTimeAsync(990);
  await turn();
  expect([states.next(0, here), woken]).toEqual([undefined, 0]);
  await vi.advanceTimersByTimeAsync(10);
  await turn();

  const news = states.next(0, here);
  expect(news?.event).toEqual({ kind: 'reads', ...here, members: [markOf(5, 2), markOf(6, 2), markOf(4, 3)] });
  expect([states.next(news?.version ?? 0, here), woken]).toEqual([undefined, 1]);
  await vi.advanceTimersByTimeAsync(10_000);
  expect([vi.getTimerCount(), woken]).toEqual([0, 1]);
});

it('waits for longer while the gap is wide, and shows the newest states soon after it narrows', async () => {
  gapMs = 5_000;
  states.accept(markOf(4, 1));
  await vi.advanceTimersByTimeAsync(3_500);
  states.accept(markOf(4, 2));
  expect(states.next(0, here)).toBeUndefined();
  gapMs = 1_000;
  await vi.advanceTimersByTimeAsync(1_000);
  expect(states.next(0, here)?.event).toMatchObject({ members: [markOf(4, 2)] });
});

it('returns the same event to all who continue at the same version and position', async () => {
  await release([markOf(4, 1)]);
  const second = states.version;
  await release([markOf(5, 1)]);

  expect(states.next(second, here)).toBe(states.next(second, here));
  expect(states.next(second, here)?.event).toBe(states.next(second, here)?.event);
  expect(states.next(second, here)?.event).toMatchObject({ members: [markOf(5, 1)] });
  expect(states.next(0, here)?.event).toMatchObject({ members: [markOf(4, 1), markOf(5, 1)] });
  expect(states.next(second, { ...here, seq: 101 })?.event).toMatchObject({ seq: 101, members: [markOf(5, 1)] });
});

it('returns one event with the newest state of each key to a subscriber that has fallen behind', async () => {
  for (let seq = 1; seq <= 20; seq += 1) await release([markOf(4, seq), markOf(5, seq)]);

  const news = states.next(0, here);
  expect(news?.event).toMatchObject({ members: [markOf(4, 20), markOf(5, 20)] });
  expect(news?.version).toBe(states.version);
});

it('returns an event only after all entries that its states refer to', async () => {
  await release([markOf(4, 7), markOf(5, 9), markOf(6, 8)]);

  expect(states.next(0, { ...here, seq: 8 })).toBeUndefined();
  expect(states.next(0, { ...here, seq: 9 })?.event).toMatchObject({ seq: 9, members: { length: 3 } });
});

it('divides more states than one event may have', async () => {
  await release(Array.from({ length: 501 }, (_, userId) => markOf(userId, 1)));

  const first = states.next(0, here);
  const second = states.next(first?.version ?? 0, here);
  expect([first?.event, second?.event]).toMatchObject([{ members: { length: 500 } }, { members: [markOf(500, 1)] }]);
  expect(second?.version).toBe(states.version);
});

it('shows a state once, however often it is repeated', async () => {
  await release([markOf(4, 2)]);
  const seen = states.version;
  await release([markOf(4, 2), markOf(4, 1)]);

  expect([states.version, vi.getTimerCount()]).toEqual([seen, 0]);
});

async function release(marks: readonly MarkMove[]): Promise<void> {
  for (const mark of marks) states.accept(mark);
  await vi.advanceTimersByTimeAsync(1_000);
}

const markOf = (userId: number, lastReadSeq: number) =>
  ({ roomId: 'room', userId, lastReadSeq, previousSeq: null }) as MarkMove;
