import { isSamePresence, type Presence } from '../../../domain/presence.js';
import { PullIterator } from '../pull-iterator.js';

export interface PresenceWatcherOptions {
  readonly viewerId: number;
  /** Whom the viewer asked for, each once. */
  readonly userIds: readonly number[];
  readonly isHeldBack: () => boolean;
  readonly onEnd: () => void;
}

/** One subscription: what it has been told, and what it has yet to be told, each user once. */
export class PresenceWatcher {
  readonly viewerId: number;
  readonly userIds: readonly number[];
  readonly presences: PullIterator<Presence>;
  readonly #told = new Map<number, Presence>();
  readonly #news = new Map<number, Presence>();
  /** Of whom the viewer may know, as far as has been looked. */
  readonly #known = new Set<number>();

  constructor({ viewerId, userIds, isHeldBack, onEnd }: PresenceWatcherOptions) {
    this.viewerId = viewerId;
    this.userIds = userIds;
    this.presences = new PullIterator({ take: () => this.#take(), isHeldBack, onEnd });
  }

  /** Whether the viewer may know of this user, when it was last looked. */
  knows(userId: number): boolean {
    return this.#known.has(userId);
  }

  offer(presence: Presence): void {
    const { userId } = presence;
    this.#known.add(userId);
    const told = this.#told.get(userId);
    this.#news.delete(userId);
    if (told !== undefined && isSamePresence(told, presence)) return;
    this.#tell(presence);
  }

  /** The same once more, where the viewer may know of them: what is shown beside it has changed. Whether it is told. */
  repeat(userId: number): boolean {
    const told = this.#told.get(userId);
    if (told === undefined || !this.#known.has(userId) || this.#news.has(userId)) return false;
    // Another event: what was made of the one before shows what was true then.
    this.#tell({ ...told });
    return true;
  }

  /** The viewer may know of this user no more: whoever was ONLINE is OFFLINE for them. */
  revoke(userId: number): void {
    if (!this.#known.delete(userId)) return;
    this.#news.delete(userId);
    if (this.#told.get(userId)?.status === 'ONLINE') this.#tell({ userId, status: 'OFFLINE', lastSeenAt: null });
  }

  #tell(presence: Presence): void {
    this.#news.set(presence.userId, presence);
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
