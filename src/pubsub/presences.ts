import type { Logger } from 'pino';
import { ChatError } from '../domain/errors.js';
import { isSamePresence, type Presence, type PresenceStore } from '../domain/presence.js';
import { decodePresence, encodePresence } from './encoding.js';
import type { PubSub, Subscription } from './pub-sub.js';
import { PullIterator } from './pull-iterator.js';
import { allPresenceSubjects, presenceSubject } from './subjects.js';

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

/** A user whom somebody here watches. */
interface Watched {
  readonly watchers: Set<Watcher>;
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
  readonly #countByViewer = new Map<number, number>();
  /** Who has yet to be told how somebody is at first. */
  readonly #unserved = new Map<Watcher, readonly number[]>();
  readonly #stale = new Set<number>();
  readonly #timer: NodeJS.Timeout;
  #subscription: Subscription | undefined;
  #sweeps = 0;
  #isLooking = false;
  #isClosed = false;

  constructor(options: PresencesOptions) {
    this.#options = options;
    options.pubsub.onConnect(() => this.#sweep(true));
    this.#timer = setInterval(() => this.#sweep(++this.#sweeps % sweepsPerFullSweep === 0), sweepMs);
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
    this.#takePlaces(viewerId, userIds.length);
    const watcher = new Watcher(viewerId, isHeldBack, () => this.#forget(watcher, userIds));
    for (const userId of userIds) this.#register(userId, watcher);
    this.#subscription ??= this.#options.pubsub.subscribe(allPresenceSubjects, (body) =>
      this.#lookAt([decodePresence(body).userId]),
    );
    await this.#subscription.ready;
    this.#unserved.set(watcher, userIds);
    void this.#look();
    return watcher.presences;
  }

  close(): void {
    this.#isClosed = true;
    clearInterval(this.#timer);
    this.#subscription?.close();
    this.#watched.clear();
  }

  #takePlaces(viewerId: number, count: number): void {
    const taken = (this.#countByViewer.get(viewerId) ?? 0) + count;
    if (taken > maxListsPerViewer * this.#options.maxWatchedUsers) {
      throw new ChatError('RATE_LIMITED', 'Too many users are watched; end another subscription first', {
        retryAfterMs,
      });
    }
    this.#countByViewer.set(viewerId, taken);
  }

  #register(userId: number, watcher: Watcher): void {
    let watched = this.#watched.get(userId);
    if (watched === undefined) {
      watched = { watchers: new Set(), presence: undefined, isKnown: false };
      this.#watched.set(userId, watched);
    }
    watched.watchers.add(watcher);
  }

  #forget(watcher: Watcher, userIds: readonly number[]): void {
    this.#unserved.delete(watcher);
    const left = (this.#countByViewer.get(watcher.viewerId) ?? 0) - userIds.length;
    if (left > 0) this.#countByViewer.set(watcher.viewerId, left);
    else this.#countByViewer.delete(watcher.viewerId);
    for (const userId of userIds) {
      const watched = this.#watched.get(userId);
      if (watched?.watchers.delete(watcher) && watched.watchers.size === 0) this.#watched.delete(userId);
    }
    if (this.#watched.size > 0) return;
    this.#subscription?.close();
    this.#subscription = undefined;
  }

  #sweep(isFull: boolean): void {
    for (const [userId, { isKnown }] of this.#watched) if (isFull || isKnown) this.#stale.add(userId);
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
      } catch (error) {
        this.#options.log.debug({ err: error }, 'Presences could not be read; it is tried again');
        break;
      }
    }
    this.#isLooking = false;
  }

  get #isDue(): boolean {
    return this.#unserved.size > 0 || this.#stale.size > 0;
  }

  /** Tells those who have just begun to watch how everybody is; who cannot be told is behind the others next time. */
  async #serve(): Promise<void> {
    const waiting = this.#takeWaiting();
    const parts = chunksOf(waiting.flatMap(([watcher, userIds]) => userIds.map((userId) => ({ watcher, userId }))));
    const answers = await Promise.allSettled(parts.map((part) => this.#findAcquaintances(part)));
    const missed = new Set<Watcher>();
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

  #takeWaiting(): [Watcher, readonly number[]][] {
    const waiting: [Watcher, readonly number[]][] = [];
    let count = 0;
    for (const entry of this.#unserved) {
      waiting.push(entry);
      count += entry[1].length;
      if (count >= maxServed) break;
    }
    return waiting;
  }

  #tellFirst(watcher: Watcher, presence: Presence | undefined): void {
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

/** Somebody who is to hear of a user if they share a room. */
interface Pair {
  readonly watcher: Watcher;
  readonly userId: number;
}

type Asked = Pair & { readonly presence: Presence };

function chunksOf<T>(all: readonly T[]): T[][] {
  const chunks: T[][] = [];
  for (let start = 0; start < all.length; start += maxAsked) chunks.push(all.slice(start, start + maxAsked));
  return chunks;
}

/** One subscription: what it has been told, and what it has yet to be told, each user once. */
class Watcher {
  readonly viewerId: number;
  readonly presences: PullIterator<Presence>;
  readonly #told = new Map<number, Presence>();
  readonly #news = new Map<number, Presence>();

  constructor(viewerId: number, isHeldBack: () => boolean, onEnd: () => void) {
    this.viewerId = viewerId;
    this.presences = new PullIterator({ take: () => this.#take(), isHeldBack, onEnd });
  }

  offer(presence: Presence): void {
    const { userId } = presence;
    const told = this.#told.get(userId);
    this.#news.delete(userId);
    if (told !== undefined && isSamePresence(told, presence)) return;
    this.#news.set(userId, presence);
    this.presences.wake();
  }

  #take(): Presence | undefined {
    for (const [userId, presence] of this.#news) {
      this.#news.delete(userId);
      this.#told.set(userId, presence);
      return presence;
    }
    return undefined;
  }
}
