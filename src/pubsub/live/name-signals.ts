import { randomUUID } from 'node:crypto';
import { decodeNamed, encodeNamed } from '../nats/encoding.js';
import { maxStallMs, type PubSub, type Subscription } from '../nats/pub-sub.js';
import { allNamedSubjects, namedSubject } from '../nats/subjects.js';

/** A signal that was published this long before a disconnect may not have arrived. */
const doubtMs = maxStallMs + 5_000;
/** After a reconnect, subscriptions take effect, and other instances reconnect a moment later. */
const settleMs = 2_000;
/** Beyond this, the oldest is not published again. */
const maxKept = 10_000;

/**
 * The signals of changed names between all instances. NATS does not store them: after a reconnect, those from the time of the
 * outage or up to `doubtMs` before are published again.
 */
export class NameSignals {
  readonly #pubsub: PubSub;
  readonly #instanceId = randomUUID();
  readonly #subscription: Subscription;
  readonly #actions: ((userId: number) => void)[] = [];
  /** When each of the last users was announced here, the oldest first. */
  readonly #announcedAt = new Map<number, number>();
  /** From this time on, no signal of another instance is missed, unless the connection is lost again. */
  #completeFrom = Number.POSITIVE_INFINITY;
  #repeating: NodeJS.Timeout | undefined;

  constructor(pubsub: PubSub) {
    this.#pubsub = pubsub;
    this.#subscription = pubsub.subscribe(allNamedSubjects, (body) => {
      const { userId, from } = decodeNamed(body);
      if (from !== this.#instanceId) this.#notify(userId);
    });
    pubsub.onConnect(() => {
      this.#completeFrom = performance.now() + settleMs;
      clearTimeout(this.#repeating);
      this.#repeating = setTimeout(() => this.#repeat(), settleMs);
    });
  }

  /** Whether the signals of other instances arrive. A connection that passes nothing on counts for `maxStallMs` at most. */
  get isComplete(): boolean {
    return this.#pubsub.isConnected && performance.now() >= this.#completeFrom;
  }

  /** Runs for each user with a new name. */
  onNamed(action: (userId: number) => void): void {
    this.#actions.push(action);
  }

  /** Call it once the names are stored. This instance is notified before it returns. */
  announce(userIds: readonly number[]): void {
    for (const userId of userIds) {
      this.#notify(userId);
      this.#signal(userId);
      this.#keep(userId);
    }
  }

  close(): void {
    clearTimeout(this.#repeating);
    this.#subscription.close();
  }

  #notify(userId: number): void {
    for (const action of this.#actions) action(userId);
  }

  #signal(userId: number): void {
    this.#pubsub.signal(namedSubject(userId), encodeNamed({ userId, from: this.#instanceId }));
  }

  #keep(userId: number): void {
    const now = performance.now();
    this.#announcedAt.delete(userId);
    this.#announcedAt.set(userId, now);
    const haveArrived = this.#pubsub.isConnected && this.#repeating === undefined;
    for (const [oldest, at] of this.#announcedAt) {
      const isOld = haveArrived && at + doubtMs < now;
      if (!isOld && this.#announcedAt.size <= maxKept) return;
      this.#announcedAt.delete(oldest);
    }
  }

  #repeat(): void {
    this.#repeating = undefined;
    for (const userId of this.#announcedAt.keys()) this.#signal(userId);
  }
}
