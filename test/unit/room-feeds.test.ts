import { pino } from 'pino';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { LogStore, Member } from '../../src/domain/room-log.js';
import { RoomFeeds } from '../../src/pubsub/live/room/room-feeds.js';
import { readMark } from '../../src/pubsub/live/room/room-states.js';
import { EntrySeal } from '../../src/pubsub/nats/entry-seal.js';
import type { PubSub } from '../../src/pubsub/nats/pub-sub.js';
import { readSubject } from '../../src/pubsub/nats/subjects.js';

const roomId = '0190a0a0-0000-7000-8000-000000000001';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

it('tells read marks of an outage again once NATS has been back for a while, also where it came twice', async () => {
  const { pubsub, connect, disconnect, told } = createPubSub();
  const feeds = new RoomFeeds({
    pubsub,
    store: idleStore,
    stateKinds: [readMark],
    seal: new EntrySeal(() => undefined),
    log: pino({ level: 'silent' }),
  });
  disconnect();
  feeds.publishRead({ roomId, userId: 4, lastReadSeq: 1 } as Member);
  await vi.advanceTimersByTimeAsync(60_000);

  connect();
  await vi.advanceTimersByTimeAsync(500);
  disconnect();
  await vi.advanceTimersByTimeAsync(1_000);
  connect();
  const backAt = performance.now();
  await vi.advanceTimersByTimeAsync(10_000);
  await feeds.close();

  // The other instances may take as long to be back.
  expect(told.at(-1)).toBeGreaterThanOrEqual(backAt + 1_500);
});

/** One that notes when the room's read marks are told while it is there. */
function createPubSub() {
  const actions: (() => void)[] = [];
  const told: number[] = [];
  const state = { isConnected: true };
  const pubsub = {
    get isConnected() {
      return state.isConnected;
    },
    maxBodyBytes: 1_000_000,
    onConnect: (action: () => void) => void actions.push(action),
    subscribe: () => ({ ready: Promise.resolve(), close: () => undefined }),
    signal: (subject: string) => {
      if (state.isConnected && subject === readSubject(roomId)) told.push(performance.now());
    },
  } as unknown as PubSub;
  const disconnect = () => {
    state.isConnected = false;
  };
  const connect = () => {
    state.isConnected = true;
    for (const action of actions) action();
  };
  return { pubsub, connect, disconnect, told };
}

const idleStore = {
  readUnpublished: async () => [],
  readBacklog: async () => ({ entries: 0, oldestMs: 0 }),
} as unknown as LogStore;
