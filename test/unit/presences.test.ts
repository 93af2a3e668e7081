import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Presence, PresenceStore, ViewedUser } from '../../src/domain/presence.js';
import { Presences } from '../../src/pubsub/live/presence/presences.js';
import { encodeMembersSignal, encodePresence } from '../../src/pubsub/nats/encoding.js';
import type { PubSub } from '../../src/pubsub/nats/pub-sub.js';

const sweepMs = 3_000;
const viewerId = 1;
const maxWatchedUsers = 3_000;

describe('the presence of those who are watched here', () => {
  let world: FakeWorld;
  let presences: Presences;

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    world = new FakeWorld();
    const { pubsub, store } = world;
    presences = new Presences({
      pubsub,
      store,
      log: pino({ level: 'silent' }),
      maxWatchedUsers,
      isTrusted: () => true,
    });
  });
  afterEach(() => {
    presences.close();
    vi.useRealTimers();
  });

  /** What a watcher is told, in its order, as `2 ONLINE`. */
  async function watch(userIds: readonly number[], viewer = viewerId) {
    const iterator = await presences.watch(viewer, userIds, () => false);
    const told: string[] = [];
    void (async () => {
      for await (const { userId, status } of iterator) told.push(`${userId} ${status}`);
    })();
    return { told, end: () => iterator.return?.() };
  }

  const sweep = async (times = 1) => {
    for (let done = 0; done < times; done += 1) {
      await vi.advanceTimersByTimeAsync(sweepMs);
      await settle();
    }
  };

  it('is that of a change that overtakes the first state', async () => {
    world.come(2);
    const answer = world.holdBackNext();
    const watching = watch([2]);
    await settle();
    world.leave(2);
    await settle();
    answer();
    const { told } = await watching;
    await settle();
    await sweep(2);
    expect(told.at(-1)).toBe('2 OFFLINE');
  });

  it('is told to who watched already where the first state of somebody else is news', async () => {
    world.come(2);
    const early = await watch([2]);
    await sweep();
    // Neither of the two changes is heard of here.
    world.leave(2, { isHeard: false });
    const late = await watch([2], 3);
    await settle();
    world.come(2, { isHeard: false });
    await sweep();
    expect(early.told.at(-1)).toBe('2 ONLINE');
    expect(late.told.at(-1)).toBe('2 ONLINE');
  });

  it('takes the same two subscriptions of NATS for everybody, and none when nobody watches', async () => {
    const watches = [await watch([2, 3, 4]), await watch([4, 5], 3)];
    expect(world.subjects).toEqual(['chat.user.*.presence', 'chat.room.*.members']);
    for (const { end } of watches) await end();
    expect([world.subjects, presences.size]).toEqual([[], 0]);
    await watch([2]);
    expect(world.subjects).toEqual(['chat.user.*.presence', 'chat.room.*.members']);
  });

  it('passes over what is no presence on its subject', async () => {
    await watch([2]);
    for (const body of ['', '{', 'null', '{}', '{"userId":"2"}']) {
      expect(() => world.publish(new TextEncoder().encode(body)), body).toThrow();
    }
  });

  it('is OFFLINE for who may not know of them any more, and as it is for who may again', async () => {
    for (const userId of [2, 3]) world.come(userId);
    const { told } = await watch([2, 3, 4]);
    await settle();
    world.signalMembers(2, false);
    world.signalMembers(4, false);
    await settle();
    expect(told.slice(3)).toEqual(['2 OFFLINE']);
    world.leave(2);
    world.come(2);
    await settle();
    expect(told.length).toBe(4);

    world.signalMembers(2, true);
    world.signalMembers(4, true);
    await settle();
    expect(told.slice(4)).toEqual(['2 ONLINE']);
    world.come(4);
    await settle();
    expect(told.slice(5)).toEqual(['4 ONLINE']);
  });

  it('is looked at again where a room began or ended while it was being looked at', async () => {
    world.come(2);
    const { told } = await watch([2]);
    await settle();
    const release = world.holdBackNext();
    world.signalMembers(2, false);
    await settle();
    // What is on its way says that they are strangers still.
    world.signalMembers(2, true);
    release();
    await settle();
    expect(told).toEqual(['2 ONLINE', '2 OFFLINE', '2 ONLINE']);
  });

  it('comes right by a full sweep where nobody heard that a room began or ended', async () => {
    world.strangers.add(3);
    for (const userId of [2, 3]) world.come(userId);
    const { told } = await watch([2, 3]);
    await settle();
    world.signalMembers(2, false, { isHeard: false });
    world.signalMembers(3, true, { isHeard: false });
    await sweep(10);
    expect([...told].sort()).toEqual(['2 OFFLINE', '2 ONLINE', '3 ONLINE']);
  });

  it('is not swept for strangers, who are told from their first change behind a shared room', async () => {
    const stranger = 1_001;
    world.strangers.add(stranger);
    const { told } = await watch([2, stranger]);
    await settle();
    world.asked.splice(0);
    await sweep(2);
    expect(world.asked).toEqual([[2], [2]]);

    world.strangers.clear();
    world.come(stranger);
    await settle();
    expect(told.at(-1)).toBe(`${stranger} ONLINE`);
    world.leave(stranger, { isHeard: false });
    await sweep();
    expect(told.at(-1)).toBe(`${stranger} OFFLINE`);
  });

  it('is looked for within 30 s of a stranger whose change was lost', async () => {
    world.strangers.add(2);
    const { told } = await watch([2]);
    await settle();
    world.strangers.clear();
    world.come(2, { isHeard: false });
    await sweep(10);
    expect(told).toEqual(['2 ONLINE']);
  });

  it('refuses who watches too many at once, until one of theirs ends', async () => {
    const lists = Array.from({ length: 10 }, (_, list) =>
      Array.from({ length: maxWatchedUsers }, (_, place) => 10_000 * list + place + 1),
    );
    const watches: Awaited<ReturnType<typeof watch>>[] = [];
    for (const list of lists) watches.push(await watch(list));
    await expect(watch([2])).rejects.toMatchObject({ code: 'RATE_LIMITED' });
    expect(presences.size).toBe(10 * maxWatchedUsers);
    await watch([2], 3);
    await watches[0]?.end();
    await watch([2]);
  });

  it('is told first as soon as it can be read, to those alone who still watch', async () => {
    world.come(2);
    world.failPairsFrom = 1;
    const [gone, staying] = [await watch([2], 3), await watch([2])];
    await settle();
    await gone.end();
    world.failPairsFrom = Number.POSITIVE_INFINITY;
    await sweep();
    expect([gone.told, staying.told]).toEqual([[], ['2 ONLINE']]);
    expect(presences.size).toBe(1);
  });

  it('asks for a bounded number of pairs at once, and tells those of whom it has an answer', async () => {
    const viewers = Array.from({ length: 100 }, (_, place) => 100 + place);
    const users = Array.from({ length: 50 }, (_, place) => 1_000 + place);
    const watches = await Promise.all(viewers.map((viewer) => watch(users, viewer)));
    await settle();
    for (const userId of users) world.come(userId, { isHeard: false });
    world.failPairsFrom = 2;
    await sweep();
    const served = () => watches.flatMap(({ told }) => told.filter((line) => line.endsWith('ONLINE'))).length;
    expect(served(), 'the first part').toBe(2_000);
    world.failPairsFrom = Number.POSITIVE_INFINITY;
    world.pairs.splice(0);
    await sweep();
    expect(served()).toBe(viewers.length * users.length);
    expect(Math.max(...world.pairs)).toBeLessThanOrEqual(2_000);
    expect(
      world.pairs.reduce((sum, count) => sum + count, 0),
      'nobody is asked for again',
    ).toBeLessThanOrEqual(3_000 + viewers.length);
  });
});

/** Lets everything run that waits for nothing but a turn. */
const settle = async () => {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

/** A database and a NATS that answer at once, unless they are told not to. */
class FakeWorld {
  readonly strangers = new Set<number>();
  /** Of each question how users are, whom it named. */
  readonly asked: number[][] = [];
  /** Of each question who shares a room with whom, how many pairs it named. */
  readonly pairs: number[] = [];
  /** From that question on, counted from now, they fail. */
  failPairsFrom = Number.POSITIVE_INFINITY;
  readonly #online = new Set<number>();
  readonly #listeners = new Map<string, (body: Uint8Array) => void>();
  #isHeldBack: Promise<void> | undefined;

  readonly store = {
    readPresences: async (userIds: readonly number[]) => {
      this.asked.push([...userIds]);
      return userIds.map((userId) => this.#read(userId));
    },
    readVisiblePresences: async (asked: readonly ViewedUser[]) => {
      this.pairs.push(asked.length);
      if (--this.failPairsFrom < 1) throw new Error('Away');
      const read = asked
        .filter(({ userId }) => !this.strangers.has(userId))
        .map((pair) => ({ ...pair, ...this.#read(pair.userId) }));
      const heldBack = this.#isHeldBack;
      this.#isHeldBack = undefined;
      await heldBack;
      return read;
    },
  } as unknown as PresenceStore;

  readonly pubsub = {
    isConnected: true,
    onConnect: () => undefined,
    publish: async () => undefined,
    subscribe: (subject: string, listener: (body: Uint8Array) => void) => {
      this.#listeners.set(subject, listener);
      return { ready: Promise.resolve(), close: () => this.#listeners.delete(subject) };
    },
  } as unknown as PubSub;

  get subjects(): string[] {
    return [...this.#listeners.keys()];
  }

  /** The next answer about who shares a room with whom is of now, and comes when this is called. */
  holdBackNext(): () => void {
    let release = () => {};
    this.#isHeldBack = new Promise((resolve) => {
      release = resolve;
    });
    return () => release();
  }

  come(userId: number, { isHeard = true } = {}): void {
    this.#online.add(userId);
    if (isHeard) this.publish(encodePresence(this.#read(userId)));
  }

  leave(userId: number, { isHeard = true } = {}): void {
    this.#online.delete(userId);
    if (isHeard) this.publish(encodePresence(this.#read(userId)));
  }

  publish(body: Uint8Array, subject = 'chat.user.*.presence'): void {
    this.#listeners.get(subject)?.(body);
  }

  /** They share a room from now on, or do not any more. */
  signalMembers(userId: number, isBegin: boolean, { isHeard = true } = {}): void {
    if (isBegin) this.strangers.delete(userId);
    else this.strangers.add(userId);
    if (isHeard) this.publish(encodeMembersSignal({ userIds: [userId], isBegin }), 'chat.room.*.members');
  }

  #read(userId: number): Presence {
    return this.#online.has(userId)
      ? { userId, status: 'ONLINE', lastSeenAt: null }
      : { userId, status: 'OFFLINE', lastSeenAt: null };
  }
}
