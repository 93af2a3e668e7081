import { isSamePresence, type Presence } from '../../../domain/presence.js';
import type { LoadGauge } from '../load-gauge.js';
import { PullSource } from '../pull-source.js';

export interface PresenceWatcherOptions {
  readonly viewerId: number;
  /** The users to watch, without duplicates. */
  readonly userIds: readonly number[];
  readonly load: LoadGauge;
  /** Whether the peer is too slow for what is sent to it. */
  readonly isBehind: () => boolean;
  readonly onEnd: () => void;
}

/**
 * One subscription: the last sent state of each user, and the states that are still to be sent, at most one per user. The
 * first state of a user is sent at once; later ones wait for the interval, and then all that are waiting are sent.
 */
export class PresenceWatcher extends PullSource<Presence> {
  readonly viewerId: number;
  readonly userIds: readonly number[];
  readonly #options: PresenceWatcherOptions;
  readonly #sent = new Map<number, Presence>();
  readonly #first = new Map<number, Presence>();
  readonly #pending = new Map<number, Presence>();
  /** How many of the pending ones may still be sent without another interval. */
  #released = 0;
  #releasedAt = Number.NEGATIVE_INFINITY;
  /** The users whose presence the viewer may see, as of the last check. */
  readonly #known = new Set<number>();

  constructor(options: PresenceWatcherOptions) {
    super();
    this.#options = options;
    this.viewerId = options.viewerId;
    this.userIds = options.userIds;
  }

  /** Whether the viewer may see this user's presence, as of the last check. */
  knows(userId: number): boolean {
    return this.#known.has(userId);
  }

  offer(presence: Presence): void {
    const { userId } = presence;
    this.#known.add(userId);
    const sent = this.#sent.get(userId);
    this.#withdraw(userId);
    if (sent !== undefined && isSamePresence(sent, presence)) return;
    this.#send(presence);
  }

  /** Sends the last state again because the user's name has changed, if the viewer may see it. Returns whether it does. */
  repeat(userId: number): boolean {
    const sent = this.#sent.get(userId);
    if (sent === undefined || !this.#known.has(userId) || this.#pending.has(userId)) return false;
    // A new object: the cached result of the old one has the old name.
    this.#send({ ...sent });
    return true;
  }

  /** The viewer may not see this user's presence any more: an ONLINE user becomes OFFLINE for them. */
  revoke(userId: number): void {
    if (!this.#known.delete(userId)) return;
    this.#withdraw(userId);
    if (this.#sent.get(userId)?.status === 'ONLINE') this.#send({ userId, status: 'OFFLINE', lastSeenAt: null });
  }

  #send(presence: Presence): void {
    const { userId } = presence;
    (this.#sent.has(userId) ? this.#pending : this.#first).set(userId, presence);
    this.wake();
  }

  #withdraw(userId: number): void {
    this.#first.delete(userId);
    this.#pending.delete(userId);
  }

  protected override get isHeldBack(): boolean {
    return this.#options.isBehind();
  }

  protected take(): Presence | undefined {
    return this.#takeFrom(this.#first) ?? this.#takePending();
  }

  #takePending(): Presence | undefined {
    if (this.#pending.size === 0) this.#released = 0;
    else if (this.#released === 0 && this.#options.load.isDue('presence', this.#releasedAt, this)) {
      this.#released = this.#pending.size;
      this.#releasedAt = performance.now();
    }
    if (this.#released === 0) return undefined;
    this.#released -= 1;
    return this.#takeFrom(this.#pending);
  }

  #takeFrom(waiting: Map<number, Presence>): Presence | undefined {
    for (const [userId, presence] of waiting) {
      waiting.delete(userId);
      this.#sent.set(userId, presence);
      return presence;
    }
    return undefined;
  }

  protected onEnd(): void {
    this.#options.load.forget(this);
    this.#options.onEnd();
  }
}
