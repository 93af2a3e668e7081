import type { Logger } from 'pino';
import { every, type Loop } from '../../../domain/every.js';
import type { InboxStore } from '../../../domain/inbox.js';
import { decodeNamed, encodeNamed } from '../../nats/encoding.js';
import type { PubSub, Subscription } from '../../nats/pub-sub.js';
import { allNamedSubjects, namedSubject } from '../../nats/subjects.js';
import type { LoadGauge } from '../load-gauge.js';
import type { Presences } from '../presence/presences.js';
import type { Inboxes } from './inboxes.js';

export interface NameNewsOptions {
  readonly pubsub: PubSub;
  readonly presences: Presences;
  readonly inboxes: Inboxes;
  readonly store: InboxStore;
  readonly load: LoadGauge;
  readonly log: Logger;
}

const tickMs = 50;
/** However often a user is renamed, those who see the name are told at most once in this time; the newest name counts. */
const userGapMs = 5_000;
/** How many subscribers are told in one tick, about: names come behind everything else. */
const toldPerTick = 200;
const usersPerQuery = 50;
/** What goes beyond that shows with the next change of the room or the user. */
const maxWaiting = 10_000;

/** Tells those who see a user's name that it has changed: watchers of their presence, and inboxes with rooms that show it. */
export class NameNews {
  readonly #options: NameNewsOptions;
  readonly #subscription: Subscription;
  /** Whose name has changed, those first who wait longest. */
  readonly #users = new Set<number>();
  /** When it was told of each last, the longest ago first. */
  readonly #toldAt = new Map<number, number>();
  /** Rooms whose watchers are due. */
  readonly #rooms = new Set<string>();
  #ticking: Loop | undefined;
  #isClosed = false;

  constructor(options: NameNewsOptions) {
    this.#options = options;
    this.#subscription = options.pubsub.subscribe(allNamedSubjects, (body) => this.#hear(decodeNamed(body).userId));
  }

  /** To be called once the name is stored. */
  announce(userId: number): void {
    const { pubsub } = this.#options;
    // What is signalled comes back to this instance as well.
    if (pubsub.isConnected) pubsub.signal(namedSubject(userId), encodeNamed({ userId }));
    else this.#hear(userId);
  }

  close(): void {
    this.#isClosed = true;
    void this.#ticking?.stop();
    this.#subscription.close();
  }

  #hear(userId: number): void {
    const { presences, inboxes } = this.#options;
    if (this.#isClosed || (presences.size === 0 && inboxes.size === 0) || this.#users.size >= maxWaiting) return;
    this.#users.add(userId);
    const onError = (error: unknown) =>
      this.#options.log.debug({ err: error }, 'It could not be read where a name shows');
    this.#ticking ??= every(tickMs, () => this.#tick(), { onError });
  }

  async #tick(): Promise<void> {
    if (this.#options.load.isHigh) return;
    if (this.#rooms.size === 0) await this.#tellOfUsers();
    this.#tellRooms();
    if (this.#users.size > 0 || this.#rooms.size > 0) return;
    void this.#ticking?.stop();
    this.#ticking = undefined;
  }

  async #tellOfUsers(): Promise<void> {
    const userIds = this.#takeUsers();
    if (userIds.length === 0 || this.#options.inboxes.size === 0) return;
    for (const roomId of await this.#options.store.readRoomsThatName(userIds)) {
      if (this.#rooms.size < maxWaiting) this.#rooms.add(roomId);
    }
  }

  /** Those who were not told of a moment ago, and whose presence is told anew by that. */
  #takeUsers(): number[] {
    const now = performance.now();
    for (const [userId, toldAt] of this.#toldAt) {
      if (toldAt + userGapMs > now) break;
      this.#toldAt.delete(userId);
    }
    const taken: number[] = [];
    let told = 0;
    for (const userId of this.#users) {
      if (told >= toldPerTick || taken.length >= usersPerQuery) break;
      if (this.#toldAt.has(userId)) continue;
      this.#users.delete(userId);
      this.#toldAt.set(userId, now);
      taken.push(userId);
      told += this.#options.presences.repeat(userId);
    }
    return taken;
  }

  #tellRooms(): void {
    let told = 0;
    for (const roomId of this.#rooms) {
      if (told >= toldPerTick) return;
      this.#rooms.delete(roomId);
      told += this.#options.inboxes.touch(roomId);
    }
  }
}
