import { pino } from 'pino';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { LogStore, NewStates } from '../../src/domain/room-log.js';
import { MissedStates } from '../../src/pubsub/live/room/missed-states.js';
import type { RoomFeed } from '../../src/pubsub/live/room/room-feed.js';
import type { StateKind } from '../../src/pubsub/live/room/room-states.js';
import { maxStallMs, type PubSub } from '../../src/pubsub/nats/pub-sub.js';
import { type Nickname, nickname } from '../support/room-states.js';

const outageMs = 20_000;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

it('reads the states since before an outage, a few hundred rooms at a time, and no more until the next outage', async () => {
  const { asked, accepted } = await survive({ rooms: 450 });

  expect(asked.map(({ roomIds }) => roomIds.length)).toEqual([200, 200, 50]);
  for (const { ageMs } of asked) {
    expect(ageMs).toBeGreaterThan(outageMs + maxStallMs);
    expect(ageMs).toBeLessThan(outageMs + maxStallMs + 15_000);
  }
  expect(accepted).toHaveLength(450);
  expect(new Set(accepted).size).toBe(450);
});

it('reads them again after a failure, from the same time on', async () => {
  const { asked, accepted } = await survive({ rooms: 2, failures: 3 });

  expect(asked).toHaveLength(4);
  expect(asked[3]?.ageMs).toBeCloseTo((asked[0]?.ageMs ?? 0) + 3_000);
  expect(accepted).toHaveLength(2);
});

it('reads fewer rooms at a time if they have more states than one statement returns', async () => {
  const { asked, accepted } = await survive({ rooms: 4, statesPerRoom: 4_000 });

  expect(asked.map(({ roomIds }) => roomIds.length)).toEqual([4, 2, 2]);
  expect(accepted).toHaveLength(16_000);
});

/** Opens feeds and loses NATS for a while; returns what was read from the database afterwards. */
async function survive({ rooms = 1, failures = 0, statesPerRoom = 1 }) {
  const connect: (() => void)[] = [];
  const state = { isConnected: true };
  const pubsub = {
    get isConnected() {
      return state.isConnected;
    },
    onConnect: (action: () => void) => void connect.push(action),
  } as unknown as PubSub;
  const asked: NewStates[] = [];
  const accepted: string[] = [];
  const kind: StateKind<Nickname> = {
    ...nickname,
    load: async (_store, range) => {
      asked.push(range);
      if (asked.length <= failures) throw new Error('The database is away');
      const states = range.roomIds.flatMap((roomId) =>
        Array.from({ length: statesPerRoom }, (_, userId) => ({ roomId, userId, nickname: 'kim', revision: 1 })),
      );
      return states.slice(0, range.count);
    },
  };
  const feeds = new Map(
    Array.from({ length: rooms }, (_, place) => {
      const feed = { acceptState: () => void accepted.push(`room ${place}`) } as unknown as RoomFeed;
      return [`room ${place}`, feed];
    }),
  );
  const log = pino({ level: 'silent' });
  const missed = new MissedStates({ pubsub, store: {} as LogStore, stateKinds: [kind], log, feeds });
  await vi.advanceTimersByTimeAsync(60_000);
  expect(asked, 'without an outage').toEqual([]);
  state.isConnected = false;
  await vi.advanceTimersByTimeAsync(outageMs);
  expect(asked, 'during the outage').toEqual([]);
  state.isConnected = true;
  for (const action of connect) action();
  await vi.advanceTimersByTimeAsync(60_000);
  await missed.close();
  return { asked, accepted };
}
