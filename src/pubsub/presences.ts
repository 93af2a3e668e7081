import type { Logger } from 'pino';
import { isSamePresence, type Presence, type PresenceStore } from '../domain/presence.js';
import { encodePresence } from './encoding.js';
import type { PubSub, Subscription } from './pub-sub.js';
import { PullIterator } from './pull-iterator.js';
import { presenceSubject } from './subjects.js';

export interface PresencesOptions {
  readonly pubsub: PubSub;
  readonly store: PresenceStore;
  readonly log: Logger;
  /** False while what the database says may be old news of this instance's own absence. */
  readonly isTrusted: () => boolean;
}

/** However many messages are lost, a change is told within this time and a little. */
const sweepMs = 3_000;

/** A user whom somebody here watches. */
interface Watched {
  readonly watchers: Set<Watcher>;
  readonly subscription: Subscription;
  presence: Presence | undefined;
}

/**
 * Who is there, for all who watch it here. The database is the truth: a message on a user's subject, a sweep and a NATS
 * that is back are only reasons to look, all at once in one query. Each watcher is told the newest state when it asks.
 */
export class Presences {
  readonly #options: PresencesOptions;
  readonly #watched = new Map<number, Watched>();
  readonly #stale = new Set<number>();
  readonly #timer: NodeJS.Timeout;
  #isLooking = false;
  #isClosed = false;

  constructor(options: PresencesOptions) {
    this.#options = options;
    options.pubsub.onConnect(() => this.#lookAtAll());
    this.#timer = setInterval(() => this.#lookAtAll(), sweepMs);
  }

  /** How many users are watched. */
  get size(): number {
    return this.#watched.size;
  }

  /** Tells everybody how these users are now, as the database has it. Never fails: who misses it sees it by a sweep. */
  async announce(userIds: readonly number[]): Promise<void> {
    const { store, pubsub, log } = this.#options;
    for (const userId of userIds) if (this.#watched.has(userId)) this.#stale.add(userId);
    void this.#look();
    try {
      const now = Date.now();
      for (const presence of await store.readPresences(userIds)) {
        const id = `${presence.userId}:${presence.status}:${now}`;
        pubsub.publish(presenceSubject(presence.userId), encodePresence(presence), id).catch(() => undefined);
      }
    } catch (error) {
      log.debug({ err: error }, 'Presences could not be read to be announced');
    }
  }

  /**
   * The present state of each user with whom the viewer shares a room, then every change. Registers first and reads
   * behind that, so that nothing falls between the two. One query, however many users.
   */
  async watch(
    viewerId: number,
    userIds: readonly number[],
    isHeldBack: () => boolean,
  ): Promise<AsyncIterableIterator<Presence>> {
    const watcher = new Watcher(viewerId, isHeldBack, () => this.#forget(watcher, userIds));
    const subscriptions = userIds.map((userId) => this.#register(userId, watcher));
    try {
      // The server takes subscriptions in their order.
      await subscriptions.at(-1)?.ready;
      const { store, isTrusted } = this.#options;
      const isKnown = isTrusted();
      const found = await store.readAcquaintances(userIds.map((userId) => ({ viewerId, userId })));
      if (isKnown) for (const presence of found) watcher.offer(presence);
      else this.#tellAnew(userIds);
    } catch (error) {
      await watcher.presences.return();
      throw error;
    }
    return watcher.presences;
  }

  close(): void {
    this.#isClosed = true;
    clearInterval(this.#timer);
    for (const { subscription } of this.#watched.values()) subscription.close();
    this.#watched.clear();
  }

  #register(userId: number, watcher: Watcher): Subscription {
    let watched = this.#watched.get(userId);
    if (watched === undefined) {
      const subscription = this.#options.pubsub.subscribe(presenceSubject(userId), () => this.#lookAt(userId));
      watched = { watchers: new Set(), subscription, presence: undefined };
      this.#watched.set(userId, watched);
    }
    watched.watchers.add(watcher);
    return watched.subscription;
  }

  #forget(watcher: Watcher, userIds: readonly number[]): void {
    for (const userId of userIds) {
      const watched = this.#watched.get(userId);
      if (watched === undefined || !watched.watchers.delete(watcher) || watched.watchers.size > 0) continue;
      watched.subscription.close();
      this.#watched.delete(userId);
    }
  }

  /** Behind the next look that can be trusted, all their watchers are told, if it is new to them. */
  #tellAnew(userIds: readonly number[]): void {
    for (const userId of userIds) {
      const watched = this.#watched.get(userId);
      if (watched === undefined) continue;
      watched.presence = undefined;
      this.#stale.add(userId);
    }
    void this.#look();
  }

  #lookAtAll(): void {
    for (const userId of this.#watched.keys()) this.#stale.add(userId);
    void this.#look();
  }

  #lookAt(userId: number): void {
    if (this.#watched.has(userId)) this.#stale.add(userId);
    void this.#look();
  }

  /** All that is due at once; what comes meanwhile is due after that. What fails is due again with the next sweep. */
  async #look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    while (this.#stale.size > 0 && this.#options.isTrusted() && !this.#isClosed) {
      const due = [...this.#stale];
      this.#stale.clear();
      try {
        await this.#compare(due);
      } catch (error) {
        this.#options.log.debug({ err: error }, 'Presences could not be read; it is tried again');
        break;
      }
    }
    this.#isLooking = false;
  }

  async #compare(userIds: readonly number[]): Promise<void> {
    const { store } = this.#options;
    const changed = (await store.readPresences(userIds)).filter((presence) => {
      const known = this.#watched.get(presence.userId)?.presence;
      return known === undefined || !isSamePresence(known, presence);
    });
    const asked = changed.flatMap(({ userId }) =>
      [...new Set([...(this.#watched.get(userId)?.watchers ?? [])].map(({ viewerId }) => viewerId))].map(
        (viewerId) => ({
          viewerId,
          userId,
        }),
      ),
    );
    // Who shares a room with whom is looked at again with every change: a membership may have ended or begun.
    const told = asked.length === 0 ? [] : await store.readAcquaintances(asked);
    for (const presence of changed) {
      const watched = this.#watched.get(presence.userId);
      if (watched !== undefined) watched.presence = presence;
    }
    for (const { viewerId, ...presence } of told) {
      for (const watcher of this.#watched.get(presence.userId)?.watchers ?? []) {
        if (watcher.viewerId === viewerId) watcher.offer(presence);
      }
    }
  }
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
