import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { LogEntry } from '../../src/domain/room-log.js';
import type { TypingState, TypingStore } from '../../src/domain/typing.js';
import { LoadGauge } from '../../src/pubsub/live/load-gauge.js';
import type { RoomFeed } from '../../src/pubsub/live/room/room-feed.js';
import { TypingRoom } from '../../src/pubsub/live/typing/typing-room.js';
import type { PubSub } from '../../src/pubsub/nats/pub-sub.js';

const viewerId = 1;
let load: LoadGauge;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] });
  load = new LoadGauge();
});
afterEach(() => {
  load.close();
  vi.useRealTimers();
});

it.each([0, 100, 500])('waits 300 ms between two lists for a subscriber that takes %d ms for each', async (sendMs) => {
  const room = open(quietFeed);
  await room.opened;
  const states = room.watch(
    { viewerId, head: 0, epoch: '', isOpen: true, isMember: async () => true, isBehind: () => false },
    () => {},
  );
  const sent: { from: number; until: number }[] = [];
  void (async () => {
    for await (const _state of states) {
      const from = performance.now();
      await new Promise((resolve) => setTimeout(resolve, sendMs));
      sent.push({ from, until: performance.now() });
    }
  })();

  for (let signals = 0; signals < 200; signals += 1) {
    room.signal({ userId: 2 + (signals % 50), isTyping: signals % 100 < 50, ageMs: 0 });
    await vi.advanceTimersByTimeAsync(50);
  }
  await states.return?.();
  room.close();

  const gaps = sent.slice(1).map(({ from }, index) => from - (sent[index]?.until ?? 0));
  expect(sent.length).toBeGreaterThan(10_000 / (300 + sendMs + 50) - 2);
  expect(Math.min(...gaps)).toBeGreaterThanOrEqual(300);
});

it('sends nothing more to a removed member, even before the feed has woken the room', async () => {
  const feed = { ...quietFeed } as { -readonly [Name in keyof RoomFeed]: RoomFeed[Name] };
  const room = open(feed as RoomFeed);
  await room.opened;
  let isMember = true;
  const states = room.watch(
    { viewerId, head: 0, epoch: '', isOpen: true, isMember: async () => isMember, isBehind: () => false },
    () => {},
  );
  expect(await states.next()).toMatchObject({ value: { userIds: [] } });

  isMember = false;
  const system = { code: 'MEMBER_REMOVED', userIds: [viewerId] };
  const removal = { seq: 1, kind: 'added', message: { system } } as unknown as LogEntry;
  Object.assign(feed, { head: 1, changes: 1, entryAfter: (seq: number) => (seq < 1 ? removal : undefined) });
  room.signal({ userId: 2, isTyping: true, ageMs: 0 });
  const refusal = expect(states.next()).rejects.toMatchObject({ code: 'FORBIDDEN' });
  await vi.advanceTimersByTimeAsync(1_000);

  await refusal;
  room.close();
});

it('sends one state to all watchers with the same typists, so that it is executed once', async () => {
  const room = open(quietFeed);
  await room.opened;
  const grant = { head: 0, epoch: '', isOpen: true, isMember: async () => true, isBehind: () => false };
  const watchers = [1, 2, 3, 4].map((viewer) => room.watch({ ...grant, viewerId: viewer }, () => {}));
  const next = async () => (await Promise.all(watchers.map((watcher) => watcher.next()))).map(({ value }) => value);

  const empty = await next();
  const waiting = next();
  await vi.advanceTimersByTimeAsync(2_000);
  room.signal({ userId: 1, isTyping: true, ageMs: 0 });
  room.signal({ userId: 9, isTyping: true, ageMs: 0 });
  const [ofTypist, ...ofOthers] = await waiting;
  room.close();

  expect(new Set(empty).size).toBe(1);
  expect(ofTypist).toMatchObject({ userIds: [9] });
  expect(ofOthers[0]).toMatchObject({ userIds: [1, 9] });
  expect(new Set(ofOthers).size).toBe(1);
});

it('makes one list for all of 60 watchers who do not type, and one for each of those who type, at every change', async () => {
  const room = open(quietFeed);
  await room.opened;
  const grant = { head: 0, epoch: '', isOpen: true, isMember: async () => true, isBehind: () => false };
  let sent: TypingState[] = [];
  for (let viewer = 1; viewer <= 60; viewer += 1) {
    const watcher = room.watch({ ...grant, viewerId: viewer }, () => {});
    const send = () => {
      for (let state = watcher.peek(); state !== undefined; state = watcher.peek()) {
        watcher.skip(state);
        sent.push(state);
      }
      expect(watcher.isIdle).toBe(true);
    };
    watcher.listen({ wake: send });
    send();
  }
  expect([sent.length, new Set(sent).size]).toEqual([60, 1]);

  const counts: number[][] = [];
  for (const [userId, isTyping] of [
    [1, true],
    [2, true],
    [3, true],
    [1, false],
  ] as const) {
    sent = [];
    await vi.advanceTimersByTimeAsync(500);
    room.signal({ userId, isTyping, ageMs: 0 });
    await vi.advanceTimersByTimeAsync(500);
    counts.push([sent.length, new Set(sent).size]);
  }
  room.close();

  // Each change concerns everybody except the user who begins or stops.
  expect(counts).toEqual([
    [59, 1],
    [59, 2],
    [59, 3],
    [59, 3],
  ]);
});

describe('knows without a statement that a user may write', () => {
  const entry = (seq: number, code: string | null, userIds: number[] = []) =>
    ({
      seq,
      kind: 'added',
      message: { senderId: 7, system: code === null ? null : { code, userIds } },
    }) as unknown as LogEntry;
  const grant = { viewerId, head: 1, epoch: '', isOpen: true, isMember: async () => true, isBehind: () => false };

  /** A feed at the given entries, the last of which comes after the subscription has begun. */
  async function follow({
    granted = {},
    before = [entry(1, null)],
    after = [] as LogEntry[],
    floor = 0,
    isCurrent = true,
  }) {
    const log = [...before];
    const feed = Object.assign(
      { ...quietFeed },
      {
        head: log.length,
        entryAfter: (seq: number) => log.find((each) => each.seq > seq),
        isCurrent: (maxAgeMs: number) => isCurrent && maxAgeMs <= 2_000,
      },
    );
    const room = open(feed as unknown as RoomFeed);
    onTestFinished(() => room.close());
    await room.opened;
    room.watch({ ...grant, ...granted }, () => {});
    log.push(...after);
    Object.assign(feed, { head: log.length, changes: after.length, floor });
    return room;
  }

  it('while they watch the room, at the position of its feed', async () => {
    const room = await follow({ after: [entry(2, null), entry(3, 'MEMBER_REMOVED', [9])] });

    expect(room.seqForWriter(viewerId)).toBe(3);
    expect(room.seqForWriter(2), 'does not watch').toBeNull();
  });

  it('also if others wrote or left while the subscription began', async () => {
    const room = await follow({ before: [entry(1, null), entry(2, null), entry(3, 'MEMBER_LEFT', [9])] });

    expect(room.seqForWriter(viewerId)).toBe(3);
  });

  it.each<[what: string, state: Parameters<typeof follow>[0]]>([
    ['after their removal', { after: [entry(2, 'MEMBER_REMOVED', [viewerId])] }],
    [
      'after they left, even if they are back',
      { after: [entry(2, 'MEMBER_LEFT', [viewerId]), entry(3, 'MEMBERS_JOINED', [viewerId])] },
    ],
    ['if they left while the subscription began', { before: [entry(1, null), entry(2, 'MEMBER_LEFT', [viewerId])] }],
    ['after the cancellation of the booking', { after: [entry(2, 'BOOKING_CANCELLED')] }],
    ['in a room that was closed for writing when the subscription began', { granted: { isOpen: false } }],
    ['after a gap, in which anything may have happened', { after: [entry(2, null), entry(3, null)], floor: 2 }],
    ['in another epoch', { granted: { epoch: 'an earlier one' } }],
    ['while the feed may lack entries', { isCurrent: false }],
  ])('but not %s', async (_what, state) => {
    const room = await follow(state);

    expect(room.seqForWriter(viewerId)).toBeNull();
  });

  it('and ignores what an instance accepted that had not seen the end of a membership', async () => {
    const room = await follow({ after: [entry(2, 'MEMBER_REMOVED', [5]), entry(3, 'MEMBERS_JOINED', [5])] });
    room.wake();
    await vi.advanceTimersByTimeAsync(3_000);

    room.signal({ userId: 5, isTyping: true, ageMs: 0, seq: 1 });
    expect(room.typists).toEqual([]);
    room.signal({ userId: 5, isTyping: true, ageMs: 0, seq: 3 });
    expect(room.typists).toMatchObject([{ userId: 5 }]);
  });

  it('but not once they have stopped watching', async () => {
    const feed = { ...quietFeed, isCurrent: () => true } as unknown as RoomFeed;
    const room = open(feed);
    await room.opened;
    const states = room.watch({ ...grant, head: 0 }, () => {});
    expect(room.seqForWriter(viewerId)).toBe(0);

    await states.return?.();

    expect(room.seqForWriter(viewerId)).toBeNull();
    room.close();
  });
});

const open = (feed: RoomFeed) =>
  new TypingRoom({ feed, pubsub: silentPubsub, store: trustingStore, load, instanceId: 'here' });

const trustingStore: TypingStore = { keepTyping: async (_roomId, typists) => [...typists] };

/** A room in which nobody writes. */
const quietFeed = {
  roomId: '0190a0a0-0000-7000-8000-000000000001',
  opened: Promise.resolve(),
  head: 0,
  epoch: '',
  floor: 0,
  changes: 0,
  entryAfter: () => undefined,
  listen: () => undefined,
  forget: () => undefined,
  release: () => undefined,
} as unknown as RoomFeed;

const silentPubsub = {
  subscribe: () => ({ ready: Promise.resolve(), close: () => undefined }),
  recent: async () => [],
} as unknown as PubSub;
