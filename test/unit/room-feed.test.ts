import { setImmediate as turn } from 'node:timers/promises';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { EpochStart } from '../../src/domain/epoch.js';
import type { Evidence, LogEntry, LogRange, LogStore } from '../../src/domain/room-log.js';
import { RoomFeed } from '../../src/pubsub/live/room/room-feed.js';
import { readMark, type StateKind } from '../../src/pubsub/live/room/room-states.js';
import { EntrySeal } from '../../src/pubsub/nats/entry-seal.js';
import type { PubSub } from '../../src/pubsub/nats/pub-sub.js';
import { Seldom } from '../../src/pubsub/nats/seldom.js';
import { nickname } from '../support/room-states.js';

const roomId = '0190a0a0-0000-7000-8000-000000000001';
const [first, second] = ['01a22675-dec2-7d86-a3f6-0a5edf8fad30', '01a22676-0210-776e-8848-01e8f0113272'] as const;

let database: { seq: number; epochs: EpochStart[] };
let doubts: Evidence[];
let heard: string[];
let feed: RoomFeed;

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  database = { seq: 0, epochs: [{ epoch: first, seq: 0 }] };
  doubts = [];
  heard = [];
  feed = new RoomFeed(roomId, {
    pubsub,
    store,
    seal: new EntrySeal(() => undefined),
    stateKinds: [readMark, nickname],
    maxStatesPerEvent: 500,
    stateGapMs: () => 1_000,
    log: pino({ level: 'silent' }),
    failures: new Seldom(),
    onEntry: () => {},
    onClose: () => {},
  });
  await feed.opened;
  for (const seq of [1, 2, 3]) feed.accept(entryAt(seq, first));
});
afterEach(() => {
  feed.close();
  vi.useRealTimers();
});

it('asks whether the log still has a known entry if another one is at its position', async () => {
  database.seq = 3;
  feed.accept(entryAt(2, first, 'other'));
  beginSecond(1);
  await vi.advanceTimersByTimeAsync(100);

  expect(doubts).toEqual([{ roomId, seq: 2, epoch: first, messageId: 'message 2', isAdded: true }]);
  expect([feed.epoch, feed.head, feed.commonWith(first)]).toEqual([second, 3, 1]);
});

it('asks the same if the log is shorter than before', async () => {
  feed.compareWith({ seq: 2, epoch: first }, { seq: 3, epoch: first }, performance.now());
  database.seq = 2;
  beginSecond(0);
  await vi.advanceTimersByTimeAsync(100);

  expect(doubts).toEqual([{ roomId, seq: 3, epoch: first, messageId: null, isAdded: false }]);
  expect([feed.epoch, feed.head]).toEqual([second, 2]);
});

it('asks again if the database did not answer', async () => {
  vi.spyOn(store, 'readHead').mockRejectedValueOnce(new Error('away'));
  feed.compareWith({ seq: 2, epoch: first }, { seq: 3, epoch: first }, performance.now());
  await vi.advanceTimersByTimeAsync(2_000);

  expect(doubts).toHaveLength(2);
});

it('accepts no entry of another epoch, and moves to a later epoch once the database has it', async () => {
  feed.accept(entryAt(4, second));
  await vi.advanceTimersByTimeAsync(100);
  expect([feed.epoch, feed.head], 'the database knows nothing of it').toEqual([first, 3]);
  expect(heard).toEqual([second]);

  database.seq = 4;
  beginSecond(2);
  feed.accept(entryAt(4, second));
  await vi.advanceTimersByTimeAsync(100);
  expect([feed.epoch, feed.head, feed.floor], 'what came since is at hand').toEqual([second, 4, 2]);
  expect(feed.entryAfter(2)).toMatchObject({ seq: 3, epoch: second });

  feed.accept(entryAt(5, first));
  feed.accept(entryAt(5, second));
  feed.accept(entryAt(6, first));
  await vi.advanceTimersByTimeAsync(100);
  expect([feed.epoch, feed.head]).toEqual([second, 5]);
  expect(feed.entryAfter(4)).toMatchObject({ seq: 5, epoch: second });
});

it('begins a later epoch at once if a comparison with the database finds one', async () => {
  database.seq = 3;
  beginSecond(3);
  feed.compareWith({ seq: 3, epoch: second }, { seq: 3, epoch: first }, performance.now());
  await vi.advanceTimersByTimeAsync(100);
  await turn();

  expect([feed.epoch, feed.commonWith(first), doubts]).toEqual([second, 3, []]);
});

it('is current up to the last comparison with the database, unless it lacks an entry', async () => {
  expect(feed.isCurrent(5_000), 'just opened').toBe(true);

  feed.accept(entryAt(5, first));
  expect(feed.isCurrent(5_000), 'without entry 4').toBe(false);
  feed.accept(entryAt(4, first));
  expect(feed.isCurrent(5_000)).toBe(true);

  const position = { seq: 5, epoch: first };
  feed.compareWith(position, position, performance.now() - 6_000);
  expect(feed.isCurrent(5_000), 'not compared for 6 s').toBe(false);
  feed.compareWith(position, position, performance.now());
  expect(feed.isCurrent(5_000)).toBe(true);
  database.seq = 6;
  feed.compareWith({ seq: 6, epoch: first }, position, performance.now());
  expect(feed.isCurrent(5_000), 'behind the database').toBe(false);
  await vi.advanceTimersByTimeAsync(1_000);
  expect([feed.head, feed.isCurrent(5_000)]).toEqual([6, true]);
});

it('receives the states of all kinds on their own subjects, and none of another room', async () => {
  publish(readMark.subject(roomId), readMark.encode({ ...mark, lastReadSeq: 3 }));
  publish(nickname.subject(roomId), nickname.encode({ roomId, userId: 4, nickname: 'kim', revision: 1 }));
  publish(readMark.subject(roomId), readMark.encode({ ...mark, userId: 5, roomId: mark.id }));

  const [marks, nicknames] = [readMark, nickname as StateKind].map((kind) => feed.states.of(kind as StateKind, 'each'));
  const here = { seq: feed.head, epoch: feed.epoch };
  expect([marks?.next(0, here)?.event, nicknames?.next(0, here)?.event]).toMatchObject([
    { member: { ...mark, lastReadSeq: 3 } },
    { state: { roomId, userId: 4, nickname: 'kim', revision: 1 } },
  ]);
  expect([marks?.version, nicknames?.version]).toEqual([1, 1]);
});

it('forgets the states of an earlier epoch, so that a mark of the current log may be lower', async () => {
  feed.acceptState(readMark, { ...mark, lastReadSeq: 3 });
  database.seq = 2;
  beginSecond(1);
  feed.accept(entryAt(2, second));
  await vi.advanceTimersByTimeAsync(100);
  const nextEvents = () =>
    (['each', 'batched'] as const).map((delivery) =>
      feed.states.of(readMark as StateKind, delivery).next(0, { seq: feed.head, epoch: feed.epoch }),
    );
  expect([feed.epoch, ...nextEvents()]).toEqual([second, undefined, undefined]);

  feed.acceptState(readMark, { ...mark, lastReadSeq: 2 });

  expect(nextEvents()).toMatchObject([
    { event: { member: { lastReadSeq: 2 } } },
    { event: { members: [{ lastReadSeq: 2 }] } },
  ]);
});

const mark = {
  id: '0190a0a0-0000-7000-8000-000000000002',
  roomId,
  userId: 4,
  isAdmin: false,
  joinedAt: new Date(0),
  joinedSeq: 1,
  leftAt: null,
  lastReadSeq: 1,
  lastReadMessageId: null,
  lastReadAt: null,
  previousSeq: null,
};

const beginSecond = (seq: number) => database.epochs.push({ epoch: second, seq });

const store = {
  readHead: async () => ({ directKey: null, seq: database.seq, epochs: [...database.epochs] }),
  readPage: async ({ after, upTo }: LogRange) => {
    const epoch = database.epochs.at(-1)?.epoch ?? '';
    return Array.from({ length: upTo - after }, (_, n) => entryAt(after + 1 + n, epoch, `stored ${after + 1 + n}`));
  },
  noteEpoch: (epoch: string) => void heard.push(epoch),
  doubtEpoch: async (evidence: Evidence) => void doubts.push(evidence),
} as unknown as LogStore;

const listeners = new Map<string, (body: Uint8Array) => void>();
const publish = (subject: string, body: Uint8Array) => listeners.get(subject)?.(body);
const pubsub = {
  subscribe: (subject: string, listener: (body: Uint8Array) => void) => {
    listeners.set(subject, listener);
    return { ready: Promise.resolve(), close: () => undefined };
  },
} as unknown as PubSub;

function entryAt(seq: number, epoch: string, id = `message ${seq}`): LogEntry {
  return { kind: 'added', seq, epoch, message: { id, seq, changedSeq: seq, roomId, system: null } } as LogEntry;
}
