import type { Logger } from 'pino';
import { ChatError } from '../../../domain/errors.js';
import { every, type Loop } from '../../../domain/every.js';
import type { SystemCode } from '../../../domain/message.js';
import { isSamePresence, type Presence, type PresenceStore } from '../../../domain/presence.js';
import type { LogEntry } from '../../../domain/room-log.js';
import {
  type Acquainting,
  decodeAcquainting,
  decodePresence,
  encodeAcquainting,
  encodePresence,
} from '../../nats/encoding.js';
import type { PubSub, Subscription } from '../../nats/pub-sub.js';
import {
  acquaintingSubject,
  allAcquaintingSubjects,
  allPresenceSubjects,
  presenceSubject,
} from '../../nats/subjects.js';
import { PresenceWatcher } from './presence-watcher.js';

export interface PresencesOptions {
  readonly pubsub: PubSub;
  readonly store: PresenceStore;
  readonly log: Logger;
  /** How many users one subscription may name; a viewer may watch ten times as many here. */
  readonly maxWatchedUsers: number;
  /** False while what the database says may be old news of this instance's own absence. */
  readonly isTrusted: () => boolean;
}

/** However many messages are lost, a change is told within this time and a little. */
const sweepMs = 3_000;
/** Users of whom nobody here may know are swept this much more rarely: only a message that was lost is missed by it. */
const sweepsPerFullSweep = 10;
/** What one query asks for at most, users or pairs of a viewer and a user: some ten milliseconds. */
const maxAsked = 2_000;
/** How many first states are read at once, in parts. */
const maxServed = 4 * maxAsked;
/** As if each of a viewer's devices named as many as it may. */
const maxListsPerViewer = 10;
const retryAfterMs = 1_000;
/** However few bytes a message of NATS may have, so many users fit into one. */
const usersPerSignal = 100;

/** Somebody who watches others here. */
interface Viewer {
  readonly watchers: Set<PresenceWatcher>;
  /** How many users they watch, each as often as it is watched. */
  count: number;
}

/** A user whom somebody here watches. */
interface Watched {
  readonly watchers: Set<PresenceWatcher>;
  /** How they were when they were looked at last. */
  presence: Presence | undefined;
  /** Whether one of the watchers has ever been told of them. */
  isKnown: boolean;
}

/**
 * Who is there, for all who watch it here. The database is the truth: a message on a user's subject, a sweep and a NATS
 * that is back are only reasons to look. One look after the other, first ones too, so what was read last is what is told
 * last; each asks for a bounded number at once. Each watcher is told the newest state when it asks.
 */
export class Presences {
  readonly #options: PresencesOptions;
  readonly #watched = new Map<number, Watched>();
  readonly #viewers = new Map<number, Viewer>();
  /** Who has yet to be told how somebody is at first. */
  readonly #unserved = new Map<PresenceWatcher, readonly number[]>();
  readonly #stale = new Set<number>();
  /** Pairs of whom it has to be looked whether they may still know of each other, or already. */
  readonly #unsure = new Map<PresenceWatcher, Set<number>>();
  /** Those of whom all pairs are due for such a look in the present round. */
  #round: PresenceWatcher[] = [];
  readonly #sweeping: Loop;
  #subscriptions: readonly Subscription[] = [];
  #sweeps = 0;
  #isLooking = false;
  #isClosed = false;

  constructor(options: PresencesOptions) {
    this.#options = options;
    options.pubsub.onConnect(() => this.#sweep(true));
    this.#sweeping = every(sweepMs, () => this.#sweep(++this.#sweeps % sweepsPerFullSweep === 0));
  }

  /** How many users are watched. */
  get size(): number {
    return this.#watched.size;
  }

  /** Tells everybody how these users are now, as the database has it. Never fails: who misses it sees it by a sweep. */
  async announce(userIds: readonly number[]): Promise<void> {
    const { store, pubsub, log } = this.#options;
    this.#lookAt(userIds);
    try {
      const now = Date.now();
      for (const some of chunksOf(userIds)) {
        for (const presence of await store.readPresences(some)) {
          const id = `${presence.userId}:${presence.status}:${now}`;
          pubsub.publish(presenceSubject(presence.userId), encodePresence(presence), id).catch(() => undefined);
        }
      }
    } catch (error) {
      log.debug({ err: error }, 'Presences could not be read to be announced');
    }
  }

  /** Tells the user's watchers once more how they are: something else of them has changed. How many it told. */
  repeat(userId: number): number {
    let told = 0;
    for (const watcher of this.#watched.get(userId)?.watchers ?? []) if (watcher.repeat(userId)) told += 1;
    return told;
  }

  /** To be called with every entry that is committed here: users get to know each other by it, or may not any more. */
  noteEntry({ message: { roomId, system } }: LogEntry): void {
    const isBegin = system === null ? undefined : changesOfMembership.get(system.code);
    if (system === null || isBegin === undefined) return;
    const { pubsub } = this.#options;
    // What is signalled comes back to this instance as well.
    if (!pubsub.isConnected) this.#acquaint({ userIds: system.userIds, isBegin });
    for (let start = 0; start < system.userIds.length; start += usersPerSignal) {
      const userIds = system.userIds.slice(start, start + usersPerSignal);
      pubsub.signal(acquaintingSubject(roomId), encodeAcquainting({ userIds, isBegin }));
    }
  }

  /**
   * The present state of each user with whom the viewer shares a room, then every change. Registers first and reads
   * behind that, so that nothing falls between the two.
   * @throws {ChatError} RATE_LIMITED where the viewer watches too many already
   */
  async watch(
    viewerId: number,
    userIds: readonly number[],
    isHeldBack: () => boolean,
  ): Promise<AsyncIterableIterator<Presence>> {
    const viewer = this.#takePlaces(viewerId, userIds.length);
    const watcher = new PresenceWatcher({ viewerId, userIds, isHeldBack, onEnd: () => this.#forget(watcher) });
    viewer.watchers.add(watcher);
    for (const userId of userIds) this.#register(userId, watcher);
    if (this.#subscriptions.length === 0) this.#subscriptions = this.#subscribe();
    await this.#subscriptions.at(-1)?.ready;
    this.#unserved.set(watcher, userIds);
    void this.#look();
    return watcher.presences;
  }

  close(): void {
    this.#isClosed = true;
    void this.#sweeping.stop();
    for (const subscription of this.#subscriptions) subscription.close();
    this.#watched.clear();
  }

  #takePlaces(viewerId: number, count: number): Viewer {
    const viewer = this.#viewers.get(viewerId) ?? { watchers: new Set(), count: 0 };
    if (viewer.count + count > maxListsPerViewer * this.#options.maxWatchedUsers) {
      throw new ChatError('RATE_LIMITED', 'Too many users are watched; end another subscription first', {
        retryAfterMs,
      });
    }
    viewer.count += count;
    this.#viewers.set(viewerId, viewer);
    return viewer;
  }

  /** The server takes subscriptions in their order: with the last one, all are in effect. */
  #subscribe(): readonly Subscription[] {
    const { pubsub } = this.#options;
    return [
      pubsub.subscribe(allPresenceSubjects, (body) => this.#lookAt([decodePresence(body).userId])),
      pubsub.subscribe(allAcquaintingSubjects, (body) => this.#acquaint(decodeAcquainting(body))),
    ];
  }

  #register(userId: number, watcher: PresenceWatcher): void {
    let watched = this.#watched.get(userId);
    if (watched === undefined) {
      watched = { watchers: new Set(), presence: undefined, isKnown: false };
      this.#watched.set(userId, watched);
    }
    watched.watchers.add(watcher);
  }

  #forget(watcher: PresenceWatcher): void {
    const { viewerId, userIds } = watcher;
    this.#unserved.delete(watcher);
    this.#unsure.delete(watcher);
    const viewer = this.#viewers.get(viewerId);
    if (viewer?.watchers.delete(watcher)) viewer.count -= userIds.length;
    if (viewer?.watchers.size === 0) this.#viewers.delete(viewerId);
    for (const userId of userIds) {
      const watched = this.#watched.get(userId);
      if (watched?.watchers.delete(watcher) && watched.watchers.size === 0) this.#watched.delete(userId);
    }
    if (this.#watched.size > 0) return;
    for (const subscription of this.#subscriptions) subscription.close();
    this.#subscriptions = [];
  }

  /** Whoever these users watch, and whoever watches them, may know of them from here on, or no more. */
  #acquaint({ userIds, isBegin }: Acquainting): void {
    for (const userId of userIds) {
      for (const watcher of this.#watched.get(userId)?.watchers ?? []) this.#doubtPair(watcher, userId, isBegin);
      for (const watcher of this.#viewers.get(userId)?.watchers ?? []) {
        for (const other of watcher.userIds) this.#doubtPair(watcher, other, isBegin);
      }
    }
    void this.#look();
  }

  /** What is being looked at just now may have been read before the change. */
  #doubtPair(watcher: PresenceWatcher, userId: number, isBegin: boolean): void {
    if (this.#isLooking || watcher.knows(userId) !== isBegin) this.#addUnsure(watcher, [userId]);
  }

  #addUnsure(watcher: PresenceWatcher, userIds: Iterable<number>): void {
    const unsure = this.#unsure.get(watcher) ?? new Set();
    for (const userId of userIds) unsure.add(userId);
    this.#unsure.set(watcher, unsure);
  }

  /** What was missed shows in the end: all pairs in turn, some with each sweep, while NATS is away without a pause. */
  #doubtSome(isDue: boolean): void {
    if (this.#round.length === 0 && isDue) {
      this.#round = [...this.#viewers.values()].flatMap(({ watchers }) => [...watchers]);
    }
    for (let count = 0; count < maxAsked; ) {
      const watcher = this.#round.pop();
      if (watcher === undefined) return;
      if (this.#viewers.get(watcher.viewerId)?.watchers.has(watcher) !== true) continue;
      this.#addUnsure(watcher, watcher.userIds);
      count += watcher.userIds.length;
    }
  }

  #sweep(isFull: boolean): void {
    for (const [userId, { isKnown }] of this.#watched) if (isFull || isKnown) this.#stale.add(userId);
    this.#doubtSome(isFull || !this.#options.pubsub.isConnected);
    void this.#look();
  }

  #lookAt(userIds: readonly number[]): void {
    for (const userId of userIds) if (this.#watched.has(userId)) this.#stale.add(userId);
    void this.#look();
  }

  /** What comes meanwhile is due after that. What fails is due again with the next sweep. */
  async #look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    while (this.#isDue && this.#options.isTrusted() && !this.#isClosed) {
      try {
        await this.#serve();
        await this.#compare();
        await this.#review();
      } catch (error) {
        this.#options.log.debug({ err: error }, 'Presences could not be read; it is tried again');
        break;
      }
    }
    this.#isLooking = false;
  }

  get #isDue(): boolean {
    return this.#unserved.size > 0 || this.#stale.size > 0 || this.#unsure.size > 0;
  }

  /** Tells those who have just begun to watch how everybody is; who cannot be told is behind the others next time. */
  async #serve(): Promise<void> {
    const waiting = this.#takeWaiting();
    const parts = chunksOf(waiting.flatMap(([watcher, userIds]) => userIds.map((userId) => ({ watcher, userId }))));
    const answers = await Promise.allSettled(parts.map((part) => this.#findAcquaintances(part)));
    const missed = new Set<PresenceWatcher>();
    for (const [place, part] of parts.entries()) {
      const answer = answers[place];
      for (const pair of part) {
        if (answer?.status !== 'fulfilled') missed.add(pair.watcher);
        else this.#tellFirst(pair.watcher, answer.value(pair));
      }
    }
    for (const [watcher, userIds] of waiting) {
      if (this.#unserved.delete(watcher) && missed.has(watcher)) this.#unserved.set(watcher, userIds);
    }
    for (const answer of answers) if (answer.status === 'rejected') throw answer.reason;
  }

  #takeWaiting(): [PresenceWatcher, readonly number[]][] {
    const waiting: [PresenceWatcher, readonly number[]][] = [];
    let count = 0;
    for (const entry of this.#unserved) {
      waiting.push(entry);
      count += entry[1].length;
      if (count >= maxServed) break;
    }
    return waiting;
  }

  #tellFirst(watcher: PresenceWatcher, presence: Presence | undefined): void {
    if (presence === undefined) return;
    const { userId } = presence;
    const watched = this.#watched.get(userId);
    if (watched === undefined) return;
    watched.isKnown = true;
    watcher.offer(presence);
    if (watched.presence !== undefined) {
      // A change that nobody has looked at yet: whatever comes of it, all are told.
      if (!isSamePresence(watched.presence, presence)) this.#doubt(userId);
    } else if (!this.#stale.has(userId)) watched.presence = presence;
  }

  /** Looks at some of those who are due, and tells all who watch them, one part after the other. */
  async #compare(): Promise<void> {
    const due = [...this.#stale].slice(0, maxAsked);
    if (due.length === 0) return;
    for (const userId of due) this.#stale.delete(userId);
    let told = 0;
    let asked: readonly Asked[] = [];
    try {
      asked = this.#whoIsToHear(await this.#options.store.readPresences(due));
      for (; told < asked.length; told += maxAsked) await this.#tell(asked.slice(told, told + maxAsked));
    } catch (error) {
      // Whoever has been told has been told, and is not asked for again.
      for (const { userId } of asked.slice(told)) this.#doubt(userId);
      if (asked.length === 0) for (const userId of due) this.#stale.add(userId);
      throw error;
    }
  }

  /** All who watch somebody who has changed. */
  #whoIsToHear(presences: readonly Presence[]): Asked[] {
    return presences.flatMap((presence) => {
      const { userId } = presence;
      const watched = this.#watched.get(userId);
      if (watched?.presence !== undefined && isSamePresence(watched.presence, presence)) return [];
      return [...(watched?.watchers ?? [])].map((watcher) => ({ watcher, userId, presence }));
    });
  }

  /** Who shares a room with whom is looked at again with every change: a membership may have ended or begun. */
  async #tell(asked: readonly Asked[]): Promise<void> {
    const find = await this.#findAcquaintances(asked);
    for (const pair of asked) {
      const watched = this.#watched.get(pair.userId);
      if (watched === undefined) continue;
      // What is told is what it is compared with next time; what the second query says of it may be newer.
      watched.presence = pair.presence;
      if (find(pair) === undefined) continue;
      watched.isKnown = true;
      pair.watcher.offer(pair.presence);
    }
  }

  /** Looks again at some pairs whether they share a room, and tells the viewer what comes of it. */
  async #review(): Promise<void> {
    const pairs = this.#takeUnsure();
    if (pairs.length === 0) return;
    try {
      const find = await this.#findAcquaintances(pairs);
      for (const pair of pairs) {
        const presence = find(pair);
        if (presence === undefined) pair.watcher.revoke(pair.userId);
        else this.#tellFirst(pair.watcher, presence);
      }
    } catch (error) {
      for (const { watcher, userId } of pairs) this.#addUnsure(watcher, [userId]);
      throw error;
    }
  }

  #takeUnsure(): Pair[] {
    const pairs: Pair[] = [];
    for (const [watcher, userIds] of this.#unsure) {
      for (const userId of userIds) {
        if (pairs.length === maxAsked) return pairs;
        userIds.delete(userId);
        pairs.push({ watcher, userId });
      }
      this.#unsure.delete(watcher);
    }
    return pairs;
  }

  /** Behind the next look all their watchers are told, if it is new to them. */
  #doubt(userId: number): void {
    const watched = this.#watched.get(userId);
    if (watched === undefined) return;
    watched.presence = undefined;
    this.#stale.add(userId);
  }

  async #findAcquaintances(asked: readonly Pair[]): Promise<(pair: Pair) => Presence | undefined> {
    const pairs = asked.map(({ watcher: { viewerId }, userId }) => ({ viewerId, userId }));
    const found = await this.#options.store.readAcquaintances(pairs);
    const byPair = new Map(found.map(({ viewerId, ...presence }) => [`${viewerId} ${presence.userId}`, presence]));
    return ({ watcher: { viewerId }, userId }) => byPair.get(`${viewerId} ${userId}`);
  }
}

/** Whether memberships begin, of what may change them. */
const changesOfMembership: ReadonlyMap<SystemCode, boolean> = new Map<SystemCode, boolean>([
  ['ROOM_CREATED', true],
  ['MEMBERS_JOINED', true],
  ['MEMBER_LEFT', false],
  ['MEMBER_REMOVED', false],
]);

/** Somebody who is to hear of a user if they share a room. */
interface Pair {
  readonly watcher: PresenceWatcher;
  readonly userId: number;
}

type Asked = Pair & { readonly presence: Presence };

function chunksOf<T>(all: readonly T[]): T[][] {
  const chunks: T[][] = [];
  for (let start = 0; start < all.length; start += maxAsked) chunks.push(all.slice(start, start + maxAsked));
  return chunks;
}
