import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Presence, PresenceStore, ViewedUser } from '../../src/domain/presence.js';
import { LoadGauge } from '../../src/pubsub/live/load-gauge.js';
import { Presences } from '../../src/pubsub/live/presence/presences.js';
import { encodeMembersSignal, encodePresence } from '../../src/pubsub/nats/encoding.js';
import type { PubSub } from '../../src/pubsub/nats/pub-sub.js';

const sweepMs = 3_000;
const viewerId = 1;
const maxWatchedUsers = 3_000;

describe('the presence of watched users', () => {
  let world: FakeWorld;
  let presences: Presences;

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    world = new FakeWorld();
    const { pubsub, store } = world;
    const load = new LoadGauge();
    // It measures nothing: on a busy machine, states would come less often.
    load.close();
    presences = new Presences({
      pubsub,
      store,
      load,
      log: pino({ level: 'silent' }),
      maxWatchedUsers,
      isTrusted: () => true,
    });
  });
  afterEach(() => {
    presences.close();
    vi.useRealTimers();
  });

  /** The states that a watcher receives, in order, as `2 ONLINE`. */
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

  it('is that of the change if a change overtakes the first state', async () => {
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

  it('is also sent to earlier watchers if the first state for a new watcher is newer', async () => {
    world.come(2);
    const early = await watch([2]);
    await sweep();
    // Neither of the two changes reaches this instance.
    world.leave(2, { isHeard: false });
    const late = await watch([2], 3);
    await settle();
    world.come(2, { isHeard: false });
    await sweep();
    expect(early.told.at(-1)).toBe('2 ONLINE');
    expect(late.told.at(-1)).toBe('2 ONLINE');
  });

  it('takes the same two NATS subscriptions for all watchers, and none without watchers', async () => {
    const watches = [await watch([2, 3, 4]), await watch([4, 5], 3)];
    expect(world.subjects).toEqual(['chat.user.*.presence', 'chat.room.*.members']);
    for (const { end } of watches) await end();
    expect([world.subjects, presences.size]).toEqual([[], 0]);
    await watch([2]);
    expect(world.subjects).toEqual(['chat.user.*.presence', 'chat.room.*.members']);
  });

  it('rejects a body on its subject that is not a presence', async () => {
    await watch([2]);
    for (const body of ['', '{', 'null', '{}', '{"userId":"2"}']) {
      expect(() => world.publish(new TextEncoder().encode(body)), body).toThrow();
    }
  });

  it('is OFFLINE for a watcher who may not see the user any more, and is correct again once they may', async () => {
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

  it('is read again if a room began or ended during the read', async () => {
    world.come(2);
    const { told } = await watch([2]);
    await settle();
    const release = world.holdBackNext();
    world.signalMembers(2, false);
    await settle();
    // The answer on its way still says that they are strangers.
    world.signalMembers(2, true);
    release();
    await settle();
    expect(told).toEqual(['2 ONLINE', '2 OFFLINE', '2 ONLINE']);
  });

  it('is corrected by a full sweep if the signal was lost that a room began or ended', async () => {
    world.strangers.add(3);
    for (const userId of [2, 3]) world.come(userId);
    const { told } = await watch([2, 3]);
    await settle();
    world.signalMembers(2, false, { isHeard: false });
    world.signalMembers(3, true, { isHeard: false });
    await sweep(10);
    expect([...told].sort()).toEqual(['2 OFFLINE', '2 ONLINE', '3 ONLINE']);
  });

  it('is not swept for strangers, but sent from their first change after a room is shared', async () => {
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

  it('is found within 30 s for a stranger whose change was lost', async () => {
    world.strangers.add(2);
    const { told } = await watch([2]);
    await settle();
    world.strangers.clear();
    world.come(2, { isHeard: false });
    await sweep(10);
    expect(told).toEqual(['2 ONLINE']);
  });

  it('is refused to a viewer who watches too many users at once, until one of their watches ends', async () => {
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

  it('is first sent as soon as it can be read, and only to those who still watch', async () => {
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

  it('is read for a bounded number of pairs at once, and sent to those whose answer has come', async () => {
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

/** Runs everything that waits only for a turn of the event loop. */
const settle = async () => {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

/** A database and a NATS server that answer at once, unless the test changes that. */
class FakeWorld {
  readonly strangers = new Set<number>();
  /** The users of each `readPresences` query. */
  readonly asked: number[][] = [];
  /** The number of pairs in each `readVisiblePresences` query. */
  readonly pairs: number[] = [];
  /** These queries fail from this one on, counted from now. */
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

  /** The next `readVisiblePresences` reads at once, but answers only when the returned function is called. */
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

  /** From now on, the user shares a room with the watchers, or no longer does. */
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
