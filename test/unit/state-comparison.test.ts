import { pino } from 'pino';
import { afterEach, beforeEach, expect, it, onTestFinished, vi } from 'vitest';
import type { LogStore, NewStates } from '../../src/domain/room-log.js';
import type { RoomFeed } from '../../src/pubsub/live/room/room-feed.js';
import type { StateKind } from '../../src/pubsub/live/room/room-states.js';
import { StateComparison } from '../../src/pubsub/live/room/state-comparison.js';
import { type Nickname, nickname } from '../support/room-states.js';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

it('reads every room again and again, and each time all states since the last time and nothing from before the feed', async () => {
  const { asked, accepted, seconds } = compare({ rooms: 3 });
  await seconds(65);

  expect(asked.map(({ roomIds }) => roomIds.length)).toEqual([3, 3, 3, 3, 3]);
  for (const { ageMs } of asked) expect(ageMs).toBe(20_000);
  expect(accepted).toHaveLength(asked.length * 3);
});

it('reads a few hundred rooms in a second at most, those first that have waited longest', async () => {
  const { asked, seconds } = compare({ rooms: 4_500 });
  await seconds(100);

  const counts = new Map<string, number>();
  for (const { roomIds } of asked) {
    expect(roomIds.length).toBeLessThanOrEqual(200);
    for (const roomId of roomIds) counts.set(roomId, (counts.get(roomId) ?? 0) + 1);
  }
  expect(asked.length).toBeLessThanOrEqual(100);
  expect(counts.size).toBe(4_500);
  expect(Math.max(...counts.values()) - Math.min(...counts.values())).toBeLessThanOrEqual(1);
});

it('reads from the same time on after a failure', async () => {
  const { asked, seconds } = compare({ rooms: 1, failures: 3 });
  await seconds(25);

  expect(asked.map(({ ageMs }) => ageMs)).toEqual([20_000, 21_000, 22_000, 23_000]);
});

it('reads no room in which nobody gets states, and nothing from the time before somebody does', async () => {
  const { asked, states, seconds } = compare({ rooms: 1 });
  states.areWatched = false;
  await seconds(60);
  expect(asked).toEqual([]);

  states.areWatched = true;
  await seconds(25);
  expect(asked.map(({ ageMs }) => ageMs)).toEqual([20_000]);
});

function compare({ rooms, failures = 0 }: { rooms: number; failures?: number }) {
  const asked: NewStates[] = [];
  const accepted: string[] = [];
  const states = { areWatched: true };
  const kind: StateKind<Nickname> = {
    ...nickname,
    load: async (_store, range) => {
      asked.push(range);
      if (asked.length <= failures) throw new Error('The database is away');
      return range.roomIds.map((roomId) => ({ roomId, userId: 4, nickname: 'kim', revision: 1 }));
    },
  };
  const feeds = new Map(
    Array.from({ length: rooms }, (_, place) => {
      const roomId = `room ${place}`;
      const acceptState = () => void accepted.push(roomId);
      return [roomId, { roomId, openedAt: performance.now(), states, acceptState } as unknown as RoomFeed];
    }),
  );
  const log = pino({ level: 'silent' });
  const comparison = new StateComparison({ store: {} as LogStore, stateKinds: [kind], log, feeds });
  onTestFinished(() => comparison.close());
  const seconds = (count: number) => vi.advanceTimersByTimeAsync(count * 1_000);
  return { asked, accepted, states, seconds };
}
