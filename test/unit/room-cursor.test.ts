import { setImmediate as turn } from 'node:timers/promises';
import { pino } from 'pino';
import { describe, expect, it, vi } from 'vitest';
import type { Wait } from '../../src/domain/fair-turns.js';
import type { RoomEvent } from '../../src/domain/room-event.js';
import type { LogEntry, LogStore, MarkMove } from '../../src/domain/room-log.js';
import type { Listener } from '../../src/domain/source.js';
import { type CursorOptions, RoomCursor } from '../../src/pubsub/live/room/room-cursor.js';
import { RoomFeed } from '../../src/pubsub/live/room/room-feed.js';
import { readMark, type StateKind, type StateSubscription } from '../../src/pubsub/live/room/room-states.js';
import { EntrySeal } from '../../src/pubsub/nats/entry-seal.js';
import type { PubSub } from '../../src/pubsub/nats/pub-sub.js';
import { Seldom } from '../../src/pubsub/nats/seldom.js';
import { type Nickname, nickname } from '../support/room-states.js';

const roomId = '0190a0a0-0000-7000-8000-000000000001';
const epoch = '01a22675-dec2-7d86-a3f6-0a5edf8fad30';
const nothing = () => undefined;

/** The arguments of a request for a page. */
type Asked = Wait & { readonly viewerId: number };

describe("a subscriber's cursor", () => {
  it.each<[string, Partial<CursorOptions>, (cursor: RoomCursor) => unknown]>([
    ['before its first read', {}, nothing],
    ['while it waits', {}, async (cursor) => [await cursor.next(), cursor.next()]],
    ['while somebody listens', {}, (cursor) => cursor.listen({ wake: nothing })],
    ['in a replay', { head: 5 }, (cursor) => cursor.next()],
  ])('leaves nothing in its feed if it is ended %s', async (_when, position, use) => {
    const feed = new CountedFeed();
    const stays = open(feed, {});
    stays.listen({ wake: nothing });
    await stays.next();
    void stays.next();
    await turn();
    const before = feed.counts;

    for (let times = 0; times < 30; times += 1) {
      const cursor = open(feed, position);
      void use(cursor);
      await turn();
      await Promise.all([cursor.return(), cursor.return()]);
    }

    expect(before).toEqual({ holders: 1, listeners: 1 });
    expect(feed.counts).toEqual(before);
  });
});

describe("a cursor's replay", () => {
  it('waits for its turn among the reads of its user, only as long as the cursor is open', async () => {
    const waits: Asked[] = [];
    const cursor = open(new CountedFeed(), { viewerId: 7, head: 5 }, createSlowStore(waits));
    void cursor.next();
    await turn();
    expect(waits).toEqual([{ viewerId: 7, isPatient: false, signal: expect.any(Function) }]);
    expect(waits[0]?.signal?.().aborted).toBe(false);
    await cursor.return();
    expect(waits[0]?.signal?.().aborted).toBe(true);
  });

  it('has the rest of a page at hand, except an entry for which the membership is checked', async () => {
    const removal = entryAt(4);
    Object.assign(removal.message, { system: { code: 'MEMBER_REMOVED', userIds: [7] } });
    const page = [entryAt(1), entryAt(2), entryAt(3), removal, entryAt(5)];
    const log = { replayPage: async () => page, isMember: async () => false } as Partial<LogStore> as LogStore;
    const cursor = open(new CountedFeed(), { viewerId: 7, head: 5 }, log);

    expect(cursor.peek()).toBeUndefined();
    expect((await cursor.next()).value).toBe(page[0]);
    for (const entry of page.slice(1, 3)) {
      expect(cursor.peek()).toBe(entry);
      cursor.skip(entry);
    }

    expect(cursor.peek()).toBeUndefined();
    await expect(cursor.next()).rejects.toMatchObject({ code: 'FORBIDDEN' });
    expect(cursor.peek()).toBeUndefined();
    expect(page).toHaveLength(5);
  });

  it('waits without a limit if the subscriber was live already and has fallen behind', async () => {
    const waits: Asked[] = [];
    const feed = new CountedFeed();
    const cursor = open(feed, {}, createSlowStore(waits));
    expect((await cursor.next()).value).toMatchObject({ kind: 'ready' });
    Object.assign(feed, { head: 300, floor: 100 });
    void cursor.next();
    await turn();
    expect(waits).toMatchObject([{ isPatient: true }]);
    await cursor.return();
  });

  /** A store that never returns a page. */
  const createSlowStore = (waits: Asked[]) =>
    ({
      replayPage: (_range, viewerId, wait) => {
        waits.push({ ...wait, viewerId } as Asked);
        return new Promise(nothing);
      },
    }) as Partial<LogStore> as LogStore;
});

describe("a room's feed", () => {
  it('wakes all listeners except a forgotten one', async () => {
    const feed = openFeed(nothing);
    await feed.opened;
    const woken: string[] = [];
    const goes: Listener = { wake: () => woken.push('goes') };
    feed.listen({ wake: () => woken.push('stays') });
    feed.listen(goes);

    feed.forget(goes);
    feed.accept(entryAt(1));
    await turn();

    expect(woken).toEqual(['stays']);
  });

  it('sends a read mark as one event to all cursors at the same position, so that it is executed once', async () => {
    const feed = openFeed(nothing);
    await feed.opened;
    const cursors = [4, 5, 6].map((viewerId) => open(feed, { viewerId, states: each }));
    const next = async () => (await Promise.all(cursors.map((cursor) => cursor.next()))).map(({ value }) => value);
    await next();
    feed.accept(entryAt(1));
    await next();

    const told: unknown[][] = [];
    for (const [userId, seq] of [
      [4, 1],
      [5, 1],
    ] as const) {
      feed.acceptState(readMark, markOf(userId, seq));
      told.push(await next());
    }
    for (const cursor of cursors) await cursor.return();

    expect(told.map(([first]) => first)).toMatchObject([
      { kind: 'read', seq: 1, epoch, member: { userId: 4, lastReadSeq: 1 } },
      { kind: 'read', seq: 1, epoch, member: { userId: 5, lastReadSeq: 1 } },
    ]);
    for (const events of told) expect(new Set(events).size).toBe(1);
  });

  it('sends the states of all kinds, each after the entry that it refers to', async () => {
    const feed = openFeed(nothing);
    await feed.opened;
    feed.acceptState(nickname, nicknameOf(9, 1));
    const cursor = open(feed, { states: each });
    const next = async () => (await cursor.next()).value;
    expect(await next(), 'nothing from before its start').toMatchObject({ kind: 'ready' });

    feed.acceptState(nickname, nicknameOf(4, 1));
    expect(await next()).toEqual({ kind: 'nickname', seq: 0, epoch, state: nicknameOf(4, 1) });
    feed.acceptState(readMark, markOf(4, 1));
    feed.acceptState(nickname, nicknameOf(5, 1));
    expect(await next(), 'that waits for no entry').toEqual({
      kind: 'nickname',
      seq: 0,
      epoch,
      state: nicknameOf(5, 1),
    });
    const waiting = cursor.next();
    await turn();
    feed.accept(entryAt(1));

    expect((await waiting).value).toMatchObject({ kind: 'added', seq: 1 });
    expect(await next()).toEqual({ kind: 'read', seq: 1, epoch, member: markOf(4, 1) });
    expect(cursor.isIdle).toBe(true);
    await cursor.return();
  });

  it('sends each kind as its subscriber wants it, and wakes nobody for the others', async () => {
    const feed = openFeed(nothing);
    await feed.opened;
    const [batched, none] = [open(feed, { states: [{ kind: readMark, delivery: 'batched' }] }), open(feed, {})];
    for (const cursor of [batched, none]) await cursor.next();
    let woken = 0;
    const count = {
      wake: () => {
        woken += 1;
      },
    };
    for (const cursor of [batched, none]) cursor.listen(count);

    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    feed.acceptState(nickname, nicknameOf(4, 1));
    for (const userId of [4, 5, 6]) feed.acceptState(readMark, markOf(userId, 0));
    await turn();
    expect([woken, batched.peek(), none.peek()]).toEqual([0, undefined, undefined]);
    await vi.advanceTimersByTimeAsync(1_000);
    vi.useRealTimers();
    await turn();

    expect(woken).toBe(1);
    const shown = batched.peek();
    expect(shown).toEqual({ kind: 'reads', seq: 0, epoch, members: [markOf(4, 0), markOf(5, 0), markOf(6, 0)] });
    batched.skip(shown as RoomEvent);
    expect([batched.isIdle, none.isIdle]).toEqual([true, true]);
    await Promise.all([batched.return(), none.return()]);
  });

  it('sends the newest state of each key to a subscriber that has not asked for a while, in one event or one by one', async () => {
    const feed = openFeed(nothing);
    await feed.opened;
    const cursors = (['batched', 'each'] as const).map((delivery) =>
      open(feed, { states: [{ kind: readMark as StateKind, delivery }] }),
    );
    for (const cursor of cursors) await cursor.next();

    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    for (let seq = 1; seq <= 5; seq += 1) {
      feed.accept(entryAt(seq));
      for (const userId of [4, 5, 6]) feed.acceptState(readMark, markOf(userId, seq));
      await vi.advanceTimersByTimeAsync(1_100);
    }
    vi.useRealTimers();
    const [batched, single] = await Promise.all(cursors.map(takeAll));

    const entries = [1, 2, 3, 4, 5].map((seq) => entryAt(seq));
    const newest = [4, 5, 6].map((userId) => markOf(userId, 5));
    expect(batched).toEqual([...entries, { kind: 'reads', seq: 5, epoch, members: newest }]);
    const events = newest.map((member) => ({ kind: 'read', seq: 5, epoch, member, previousSeq: 4 }));
    expect(single).toEqual([...entries, ...events]);
    await Promise.all(cursors.map((cursor) => cursor.return()));
  });

  it('can show a state without a promise, until it is skipped', async () => {
    const feed = openFeed(nothing);
    await feed.opened;
    const cursor = open(feed, { states: each });
    await cursor.next();
    feed.acceptState(readMark, markOf(4, 0));

    const shown = cursor.peek();
    expect(shown).toMatchObject({ kind: 'read' });
    expect([cursor.peek(), cursor.isIdle]).toEqual([shown, false]);
    cursor.skip(shown as RoomEvent);
    expect([cursor.peek(), cursor.isIdle]).toEqual([undefined, true]);
    await cursor.return();
  });

  it('ignores a state that refers to an entry which cannot exist, so that it does not hold up the others', async () => {
    const feed = openFeed(nothing);
    await feed.opened;
    const cursor = open(feed, { states: each });
    await cursor.next();

    feed.acceptState(readMark, markOf(4, 10_001));
    feed.acceptState(readMark, markOf(5, 0));

    expect((await cursor.next()).value).toMatchObject({ member: markOf(5, 0) });
    await cursor.return();
  });

  it('closes when the last holder releases it', async () => {
    let closed = 0;
    const feed = openFeed(() => {
      closed += 1;
    });
    await feed.opened;
    feed.hold();
    feed.hold();

    feed.release();
    expect(closed).toBe(0);
    feed.release();
    expect(closed).toBe(1);
  });
});

describe("a subscriber's wait for entries", () => {
  it('lasts from the arrival until the subscriber asks for more, and does not count while the peer is slow', async () => {
    const feed = openFeed(nothing);
    await feed.opened;
    let isBehind = false;
    const cursor = open(feed, { isBehind: () => isBehind });
    feed.accept(entryAt(1));
    expect(cursor.waitsSince, 'before the end of the replay').toBeUndefined();
    while ((await cursor.next()).value?.kind !== 'ready');
    const reading = cursor.next();
    await turn();
    expect(cursor.waitsSince).toBeUndefined();

    const before = performance.now();
    feed.accept(entryAt(2));
    const since = cursor.waitsSince ?? 0;
    expect(since).toBeGreaterThanOrEqual(before);
    await turn();
    feed.accept(entryAt(3));
    expect((await reading).value).toMatchObject({ seq: 2 });
    expect(cursor.waitsSince, 'while the first is executed and written').toBe(since);
    isBehind = true;
    expect(cursor.waitsSince).toBeUndefined();
    isBehind = false;
    expect((await cursor.next()).value).toMatchObject({ seq: 3 });
    expect(cursor.waitsSince).toBeGreaterThan(since);
    void cursor.next();
    await turn();
    expect(cursor.waitsSince).toBeUndefined();
    await cursor.return();
  });

  it('begins with the oldest entry in memory if earlier ones have left it', async () => {
    const feed = openFeed(nothing);
    await feed.opened;
    const cursor = open(feed, {});
    await cursor.next();
    for (let seq = 1; seq <= 300; seq += 1) feed.accept(entryAt(seq));
    expect(cursor.waitsSince).toBe(feed.arrivalAfter(feed.floor));
    await cursor.return();
  });
});

/** All events that the cursor has now. */
async function takeAll(cursor: RoomCursor): Promise<unknown[]> {
  const events: unknown[] = [];
  while (!cursor.isIdle) events.push((await cursor.next()).value);
  return events;
}

const each: readonly StateSubscription[] = [readMark, nickname].map((kind) => ({
  kind: kind as StateKind,
  delivery: 'each',
}));

/** The feed of a quiet room, which counts its holders and listeners. */
class CountedFeed {
  readonly roomId = roomId;
  readonly head = 0;
  readonly floor = 0;
  readonly epoch = epoch;
  readonly #listeners = new Set<Listener>();
  #holders = 0;

  get counts() {
    return { holders: this.#holders, listeners: this.#listeners.size };
  }

  hold(): void {
    this.#holders += 1;
  }

  release(): void {
    this.#holders -= 1;
  }

  listen(listener: Listener): void {
    this.#listeners.add(listener);
  }

  forget(listener: Listener): void {
    this.#listeners.delete(listener);
  }

  readyAt(seq: number) {
    return { kind: 'ready', seq, epoch };
  }

  entryAfter(): undefined {
    return undefined;
  }
}

/** Holds the feed for the cursor, as every caller that opens one does. */
function open(feed: CountedFeed | RoomFeed, position: Partial<CursorOptions>, log = store): RoomCursor {
  feed.hold();
  const start = { viewerId: 4, head: 0, epoch, afterSeq: 0, commonSeq: 0, maxLag: 500, mayResync: true, states: [] };
  const isBehind = () => false;
  return new RoomCursor({ ...start, isBehind, ...position, feed: feed as RoomFeed, store: log } as CursorOptions);
}

/** A log whose pages have two messages. */
const store = {
  readHead: async () => ({ seq: 0, directKey: null, epochs: [{ epoch, seq: 0 }] }),
  replayPage: async () => [entryAt(1), entryAt(2)],
} as unknown as LogStore;

const pubsub = {
  subscribe: () => ({ ready: Promise.resolve(), close: nothing }),
} as unknown as PubSub;

const openFeed = (onClose: () => void): RoomFeed =>
  new RoomFeed(roomId, {
    pubsub,
    store,
    seal: new EntrySeal(() => undefined),
    stateKinds: [readMark, nickname],
    maxStatesPerEvent: 500,
    stateGapMs: () => 1_000,
    log: pino({ level: 'silent' }),
    failures: new Seldom(),
    onEntry: nothing,
    onClose,
  });

function entryAt(seq: number): LogEntry {
  return { kind: 'added', seq, epoch, message: { seq, changedSeq: seq, roomId, system: null } } as LogEntry;
}

const markOf = (userId: number, lastReadSeq: number) =>
  ({ roomId, userId, lastReadSeq, previousSeq: null }) as MarkMove;
const nicknameOf = (userId: number, revision: number): Nickname => ({ roomId, userId, nickname: 'kim', revision });
