import type { Logger } from 'pino';
import { ChatError } from '../../../domain/errors.js';
import { every, type Loop } from '../../../domain/every.js';
import type { SystemCode } from '../../../domain/message.js';
import { isSamePresence, type Presence, type PresenceStore } from '../../../domain/presence.js';
import type { LogEntry } from '../../../domain/room-log.js';
import type { Source } from '../../../domain/source.js';
import {
  decodeMembersSignal,
  decodePresence,
  encodeMembersSignal,
  encodePresence,
  type MembersSignal,
} from '../../nats/encoding.js';
import type { PubSub, Subscription } from '../../nats/pub-sub.js';
import { allMembersSubjects, allPresenceSubjects, membersSubject, presenceSubject } from '../../nats/subjects.js';
import type { LoadGauge } from '../load-gauge.js';
import { PresenceWatcher } from './presence-watcher.js';

export interface PresencesOptions {
  readonly pubsub: PubSub;
  readonly store: PresenceStore;
  readonly load: LoadGauge;
  readonly log: Logger;
  /** The maximum number of users in one subscription; a viewer may watch ten times as many in this process. */
  readonly maxWatchedUsers: number;
  /** False while the presences in the database may be wrong because of this instance's own absence. */
  readonly isTrusted: () => boolean;
}

/** Even if messages are lost, a change is sent within a little more than this time. */
const sweepMs = 3_000;
/** Users whom no watcher may see are swept only every this many sweeps: that only matters after a lost message. */
const sweepsPerFullSweep = 10;
/** The maximum number of users, or of pairs of viewer and user, in one query, which takes about ten milliseconds. */
const maxAsked = 2_000;
/** The maximum number of first states that are read at a time, in several queries. */
const maxServed = 4 * maxAsked;
/** Allows a viewer ten subscriptions with the maximum number of users. */
const maxListsPerViewer = 10;
const retryAfterMs = 1_000;
/** So few that they fit into a NATS message of any configured size. */
const usersPerSignal = 100;

/** A user who watches others in this process. */
interface Viewer {
  readonly watchers: Set<PresenceWatcher>;
  /** The number of watched users, summed over their subscriptions. */
  count: number;
}

/** A user who is watched in this process. */
interface Watched {
  readonly watchers: Set<PresenceWatcher>;
  /** The last presence that was read. */
  presence: Presence | undefined;
  /** Whether any watcher was ever allowed to see it. */
  isKnown: boolean;
}

/**
 * The presence of users, for all watchers in this process. The database is the truth: a message on a user's subject, a sweep
 * and a reconnect to NATS only trigger reads. Reads run one after the other, including first ones, so the last state read
 * is the last state sent. Each read asks for a limited number. A watcher receives the newest state when it asks.
 */
export class Presences {
  readonly #options: PresencesOptions;
  readonly #watched = new Map<number, Watched>();
  readonly #viewers = new Map<number, Viewer>();
  /** Watchers that wait for their first states, with their users. */
  readonly #unserved = new Map<PresenceWatcher, readonly number[]>();
  readonly #stale = new Set<number>();
  /** Pairs of watcher and user for which the shared room has to be checked again. */
  readonly #unsure = new Map<PresenceWatcher, Set<number>>();
  /** Watchers whose pairs are all still to be checked in the current round. */
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

  /** Publishes the users' presences from the database. Never rejects: sweeps find changes that were missed. */
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
      log.debug({ err: error }, 'Presences could not be read for publishing');
    }
  }

  /** Sends the user's state to their watchers again because the name has changed. Returns the number of watchers. */
  repeat(userId: number): number {
    let count = 0;
    for (const watcher of this.#watched.get(userId)?.watchers ?? []) if (watcher.repeat(userId)) count += 1;
    return count;
  }

  /** Call it with every entry committed here: a change of members changes which presences users may see. */
  noteEntry({ message: { roomId, system } }: LogEntry): void {
    const isBegin = system === null ? undefined : changesOfMembership.get(system.code);
    if (system === null || isBegin === undefined) return;
    const { pubsub } = this.#options;
    // While NATS is connected, the signal comes back to this instance as well.
    if (!pubsub.isConnected) this.#noteMembers({ userIds: system.userIds, isBegin });
    for (let start = 0; start < system.userIds.length; start += usersPerSignal) {
      const userIds = system.userIds.slice(start, start + usersPerSignal);
      pubsub.signal(membersSubject(roomId), encodeMembersSignal({ userIds, isBegin }));
    }
  }

  /**
   * The current state of each user with whom the viewer shares a room, then every change. Registers before it reads, so that
   * no change is missed in between.
   * @throws {ChatError} RATE_LIMITED if the viewer watches too many users already
   */
  async watch(viewerId: number, userIds: readonly number[], isBehind: () => boolean): Promise<Source<Presence>> {
    const viewer = this.#takePlaces(viewerId, userIds.length);
    const { load } = this.#options;
    const watcher = new PresenceWatcher({ viewerId, userIds, load, isBehind, onEnd: () => this.#forget(watcher) });
    viewer.watchers.add(watcher);
    for (const userId of userIds) this.#register(userId, watcher);
    if (this.#subscriptions.length === 0) this.#subscriptions = this.#subscribe();
    await this.#subscriptions.at(-1)?.ready;
    this.#unserved.set(watcher, userIds);
    void this.#look();
    return watcher;
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
      throw new ChatError('RATE_LIMITED', 'You are watching too many users; end another subscription first', {
        retryAfterMs,
      });
    }
    viewer.count += count;
    this.#viewers.set(viewerId, viewer);
    return viewer;
  }

  /** The NATS server processes subscriptions in order: when the last one is ready, all are. */
  #subscribe(): readonly Subscription[] {
    const { pubsub } = this.#options;
    return [
      pubsub.subscribe(allPresenceSubjects, (body) => this.#lookAt([decodePresence(body).userId])),
      pubsub.subscribe(allMembersSubjects, (body) => this.#noteMembers(decodeMembersSignal(body))),
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

  /** Checks the pairs in which these users watch or are watched: what may be seen has changed. */
  #noteMembers({ userIds, isBegin }: MembersSignal): void {
    for (const userId of userIds) {
      for (const watcher of this.#watched.get(userId)?.watchers ?? []) this.#doubtPair(watcher, userId, isBegin);
      for (const watcher of this.#viewers.get(userId)?.watchers ?? []) {
        for (const other of watcher.userIds) this.#doubtPair(watcher, other, isBegin);
      }
    }
    void this.#look();
  }

  /** During a read every pair is checked again: the read may have happened before the change. */
  #doubtPair(watcher: PresenceWatcher, userId: number, isBegin: boolean): void {
    if (this.#isLooking || watcher.knows(userId) !== isBegin) this.#addUnsure(watcher, [userId]);
  }

  #addUnsure(watcher: PresenceWatcher, userIds: Iterable<number>): void {
    const unsure = this.#unsure.get(watcher) ?? new Set();
    for (const userId of userIds) unsure.add(userId);
    this.#unsure.set(watcher, unsure);
  }

  /** Checks some pairs with each sweep, to find missed changes: all in turn, and continuously while NATS is disconnected. */
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

  /** Changes during a read are handled by the next loop. A failed read is repeated with the next sweep. */
  async #look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    while (this.#isDue && this.#options.isTrusted() && !this.#isClosed) {
      try {
        await this.#serve();
        await this.#compare();
        await this.#review();
      } catch (error) {
        this.#options.log.debug({ err: error }, 'Presences could not be read; retrying');
        break;
      }
    }
    this.#isLooking = false;
  }

  get #isDue(): boolean {
    return this.#unserved.size > 0 || this.#stale.size > 0 || this.#unsure.size > 0;
  }

  /** Sends first states to new watchers. A watcher whose read failed goes to the end of the queue. */
  async #serve(): Promise<void> {
    const waiting = this.#takeWaiting();
    const parts = chunksOf(waiting.flatMap(([watcher, userIds]) => userIds.map((userId) => ({ watcher, userId }))));
    const answers = await Promise.allSettled(parts.map((part) => this.#findVisiblePresences(part)));
    const missed = new Set<PresenceWatcher>();
    for (const [place, part] of parts.entries()) {
      const answer = answers[place];
      for (const pair of part) {
        if (answer?.status !== 'fulfilled') missed.add(pair.watcher);
        else this.#sendFirst(pair.watcher, answer.value(pair));
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

  #sendFirst(watcher: PresenceWatcher, presence: Presence | undefined): void {
    if (presence === undefined) return;
    const { userId } = presence;
    const watched = this.#watched.get(userId);
    if (watched === undefined) return;
    watched.isKnown = true;
    watcher.offer(presence);
    if (watched.presence !== undefined) {
      // The user has changed since the last read: read again for all watchers.
      if (!isSamePresence(watched.presence, presence)) this.#doubt(userId);
    } else if (!this.#stale.has(userId)) watched.presence = presence;
  }

  /** Reads some of the due users and sends changes to their watchers, in parts. */
  async #compare(): Promise<void> {
    const due = [...this.#stale].slice(0, maxAsked);
    if (due.length === 0) return;
    for (const userId of due) this.#stale.delete(userId);
    let sent = 0;
    let asked: readonly Asked[] = [];
    try {
      asked = this.#watchersOfChanged(await this.#options.store.readPresences(due));
      for (; sent < asked.length; sent += maxAsked) await this.#send(asked.slice(sent, sent + maxAsked));
    } catch (error) {
      // Only the parts that were not sent are read again.
      for (const { userId } of asked.slice(sent)) this.#doubt(userId);
      if (asked.length === 0) for (const userId of due) this.#stale.add(userId);
      throw error;
    }
  }

  /** The watchers of users whose presence has changed. */
  #watchersOfChanged(presences: readonly Presence[]): Asked[] {
    return presences.flatMap((presence) => {
      const { userId } = presence;
      const watched = this.#watched.get(userId);
      if (watched?.presence !== undefined && isSamePresence(watched.presence, presence)) return [];
      return [...(watched?.watchers ?? [])].map((watcher) => ({ watcher, userId, presence }));
    });
  }

  /** Checks shared rooms again with every change, since memberships may have changed, and sends the new state. */
  async #send(asked: readonly Asked[]): Promise<void> {
    const find = await this.#findVisiblePresences(asked);
    for (const pair of asked) {
      const watched = this.#watched.get(pair.userId);
      if (watched === undefined) continue;
      // Store the state that is sent, for the next comparison: the second query may return a newer one.
      watched.presence = pair.presence;
      if (find(pair) === undefined) continue;
      watched.isKnown = true;
      pair.watcher.offer(pair.presence);
    }
  }

  /** Checks some pairs for a shared room, and sends the result to the viewers. */
  async #review(): Promise<void> {
    const pairs = this.#takeUnsure();
    if (pairs.length === 0) return;
    try {
      const find = await this.#findVisiblePresences(pairs);
      for (const pair of pairs) {
        const presence = find(pair);
        if (presence === undefined) pair.watcher.revoke(pair.userId);
        else this.#sendFirst(pair.watcher, presence);
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

  /** Reads the user again and offers the state to all watchers. */
  #doubt(userId: number): void {
    const watched = this.#watched.get(userId);
    if (watched === undefined) return;
    watched.presence = undefined;
    this.#stale.add(userId);
  }

  async #findVisiblePresences(asked: readonly Pair[]): Promise<(pair: Pair) => Presence | undefined> {
    const pairs = asked.map(({ watcher: { viewerId }, userId }) => ({ viewerId, userId }));
    const found = await this.#options.store.readVisiblePresences(pairs);
    const byPair = new Map(found.map(({ viewerId, ...presence }) => [`${viewerId} ${presence.userId}`, presence]));
    return ({ watcher: { viewerId }, userId }) => byPair.get(`${viewerId} ${userId}`);
  }
}

/** The system codes that change memberships: true if memberships begin, false if they end. */
const changesOfMembership: ReadonlyMap<SystemCode, boolean> = new Map<SystemCode, boolean>([
  ['ROOM_CREATED', true],
  ['MEMBERS_JOINED', true],
  ['MEMBER_LEFT', false],
  ['MEMBER_REMOVED', false],
]);

/** A watcher and a user, whose presence the watcher may see if they share a room. */
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
