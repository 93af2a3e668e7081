import { isSamePresence, type Presence } from '../../../domain/presence.js';
import { PullSource } from '../pull-source.js';

export interface PresenceWatcherOptions {
  readonly viewerId: number;
  /** The users to watch, without duplicates. */
  readonly userIds: readonly number[];
  readonly isHeldBack: () => boolean;
  readonly onEnd: () => void;
}

/** One subscription: the last sent state of each user, and the states that are still to be sent, at most one per user. */
export class PresenceWatcher extends PullSource<Presence> {
  readonly viewerId: number;
  readonly userIds: readonly number[];
  readonly #options: PresenceWatcherOptions;
  readonly #sent = new Map<number, Presence>();
  readonly #pending = new Map<number, Presence>();
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
    this.#pending.delete(userId);
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
    this.#pending.delete(userId);
    if (this.#sent.get(userId)?.status === 'ONLINE') this.#send({ userId, status: 'OFFLINE', lastSeenAt: null });
  }

  #send(presence: Presence): void {
    this.#pending.set(presence.userId, presence);
    this.wake();
  }

  protected override get isHeldBack(): boolean {
    return this.#options.isHeldBack();
  }

  protected take(): Presence | undefined {
    for (const [userId, presence] of this.#pending) {
      this.#pending.delete(userId);
      this.#sent.set(userId, presence);
      return presence;
    }
    return undefined;
  }

  protected onEnd(): void {
    this.#options.onEnd();
  }
}
