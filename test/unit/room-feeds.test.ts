import { pino } from 'pino';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { LogStore, MarkMove } from '../../src/domain/room-log.js';
import { RoomFeeds } from '../../src/pubsub/live/room/room-feeds.js';
import { readMark } from '../../src/pubsub/live/room/room-states.js';
import { EntrySeal } from '../../src/pubsub/nats/entry-seal.js';
import { maxStallMs, type PubSub } from '../../src/pubsub/nats/pub-sub.js';
import { ownReadSubject, readSubject } from '../../src/pubsub/nats/subjects.js';
import { type Nickname, nickname } from '../support/room-states.js';

const roomId = '0190a0a0-0000-7000-8000-000000000001';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

it('repeats the states of an outage once NATS has been back for a while, even if it came back twice', async () => {
  const { pubsub, connect, disconnect, published } = createPubSub();
  const feeds = createFeeds(pubsub);
  disconnect();
  feeds.publishState(readMark, markOf(4, 1));
  feeds.publishState(readMark, markOf(4, 2));
  feeds.publishState(nickname, nicknameOf(4));
  await vi.advanceTimersByTimeAsync(60_000);

  connect();
  await vi.advanceTimersByTimeAsync(500);
  disconnect();
  await vi.advanceTimersByTimeAsync(1_000);
  connect();
  const backAt = performance.now();
  await vi.advanceTimersByTimeAsync(10_000);
  await feeds.close();

  expect(published.map(({ subject, state }) => [subject, state])).toEqual([
    [readSubject(roomId), markOf(4, 2)],
    [ownReadSubject(4), markOf(4, 2)],
    [nickname.subject(roomId), nicknameOf(4)],
  ]);
  // The other instances may take as long to reconnect.
  for (const { at } of published) expect(at).toBeGreaterThanOrEqual(backAt + 1_500);
});

it('repeats no state that was published long before the disconnect', async () => {
  const { pubsub, connect, disconnect, published } = createPubSub();
  const feeds = createFeeds(pubsub);
  feeds.publishState(nickname, nicknameOf(4));
  await vi.advanceTimersByTimeAsync(maxStallMs);
  feeds.publishState(nickname, nicknameOf(5));
  // The connection may have passed nothing on since.
  await vi.advanceTimersByTimeAsync(maxStallMs);
  disconnect();
  await vi.advanceTimersByTimeAsync(60_000);
  connect();
  await vi.advanceTimersByTimeAsync(10_000);
  await feeds.close();

  expect(published.map(({ state }) => state)).toEqual([nicknameOf(4), nicknameOf(5), nicknameOf(5)]);
});

it('repeats the newest state of each key if an outage brought as many as are kept', async () => {
  const { pubsub, connect, disconnect, published } = createPubSub();
  const feeds = createFeeds(pubsub);
  disconnect();
  for (let userId = 1; userId <= 10_001; userId += 1) feeds.publishState(nickname, nicknameOf(userId));
  feeds.publishState(nickname, nicknameOf(4, 2));

  connect();
  await vi.advanceTimersByTimeAsync(10_000);
  await feeds.close();

  expect(published).toHaveLength(10_000);
  expect(published.at(-1)?.state).toEqual(nicknameOf(4, 2));
});

it('notifies the listeners of a kind only of its own states, even while NATS is away', async () => {
  const { pubsub, disconnect } = createPubSub();
  const feeds = createFeeds(pubsub);
  const heard: unknown[] = [];
  feeds.onState(readMark, ({ userId, lastReadSeq }) => heard.push([userId, lastReadSeq]));
  feeds.onState(nickname, (state) => heard.push(state.nickname));
  disconnect();

  feeds.publishState(readMark, markOf(4, 1));
  feeds.publishState(nickname, nicknameOf(4));
  await feeds.close();

  expect(heard).toEqual([[4, 1], 'kim']);
});

const markOf = (userId: number, lastReadSeq: number) =>
  ({ roomId, userId, lastReadSeq, previousSeq: null }) as MarkMove;
const nicknameOf = (userId: number, revision = 1): Nickname => ({ roomId, userId, nickname: 'kim', revision });

const createFeeds = (pubsub: PubSub): RoomFeeds =>
  new RoomFeeds({
    pubsub,
    store: idleStore,
    seal: new EntrySeal(() => undefined),
    stateKinds: [readMark, nickname],
    maxStatesPerEvent: 500,
    stateGapMs: () => 1_000,
    heldUntil: () => Number.NEGATIVE_INFINITY,
    log: pino({ level: 'silent' }),
  });

/** Records the room's states that are published while it is connected. */
function createPubSub() {
  const actions: (() => void)[] = [];
  const published: { readonly subject: string; readonly state: unknown; readonly at: number }[] = [];
  const state = { isConnected: true };
  const pubsub = {
    get isConnected() {
      return state.isConnected;
    },
    maxBodyBytes: 1_000_000,
    onConnect: (action: () => void) => void actions.push(action),
    subscribe: () => ({ ready: Promise.resolve(), close: () => undefined }),
    signal: (subject: string, body: Uint8Array) => {
      const text = new TextDecoder().decode(body);
      if (state.isConnected) published.push({ subject, state: JSON.parse(text), at: performance.now() });
    },
  } as unknown as PubSub;
  const disconnect = () => {
    state.isConnected = false;
  };
  const connect = () => {
    state.isConnected = true;
    for (const action of actions) action();
  };
  return { pubsub, connect, disconnect, published };
}

const idleStore = {
  readUnpublished: async () => [],
  readBacklog: async () => ({ entries: 0, oldestMs: 0 }),
  settleRooms: async () => 0,
} as unknown as LogStore;
