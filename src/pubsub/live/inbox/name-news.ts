import type { Logger } from 'pino';
import { every, type Loop } from '../../../domain/every.js';
import type { InboxStore } from '../../../domain/inbox.js';
import type { LoadGauge } from '../load-gauge.js';
import type { NameSignals } from '../name-signals.js';
import type { Presences } from '../presence/presences.js';
import type { Inboxes } from './inboxes.js';

export interface NameNewsOptions {
  readonly signals: NameSignals;
  readonly presences: Presences;
  readonly inboxes: Pick<Inboxes<never>, 'size' | 'touch' | 'forgetViewer' | 'forgetStates'>;
  readonly store: InboxStore;
  readonly load: LoadGauge;
  readonly log: Logger;
}

const tickMs = 50;
/** At most one notification per user in this time, however often the name changes; the newest name is shown. */
const userGapMs = 5_000;
/** About how many subscribers are notified in one tick, or interval under load: names are less urgent than all else. */
const notifiedPerTick = 200;
const usersPerQuery = 50;
/** Beyond this, a new name shows only with the next change of the room or the user: then each room is read again. */
const maxWaiting = 10_000;

/** Notifies subscribers who see a user's name when it changes: watchers of the presence, and inboxes with rooms that show it. */
export class NameNews {
  readonly #options: NameNewsOptions;
  /** Users with a new name, the longest waiting first. */
  readonly #users = new Set<number>();
  /** When subscribers were last notified of each user, the oldest first. */
  readonly #notifiedAt = new Map<number, number>();
  /** Rooms whose viewers are still to be notified. */
  readonly #rooms = new Set<string>();
  #ticking: Loop | undefined;
  #tickedAt = Number.NEGATIVE_INFINITY;
  #isClosed = false;

  constructor(options: NameNewsOptions) {
    this.#options = options;
    options.signals.onNamed((userId) => this.#hear(userId));
  }

  close(): void {
    this.#isClosed = true;
    void this.#ticking?.stop();
  }

  #hear(userId: number): void {
    const { presences, inboxes } = this.#options;
    if (this.#isClosed || (presences.size === 0 && inboxes.size === 0)) return;
    inboxes.forgetViewer(userId);
    if (this.#users.size >= maxWaiting) {
      inboxes.forgetStates();
      return;
    }
    this.#users.add(userId);
    const onError = (error: unknown) => {
      inboxes.forgetStates();
      this.#options.log.debug({ err: error }, 'The rooms that show a new name could not be read');
    };
    this.#ticking ??= every(tickMs, () => this.#tick(), { onError });
  }

  async #tick(): Promise<void> {
    const now = performance.now();
    if (this.#tickedAt + this.#options.load.intervalMs('names') > now) return;
    this.#tickedAt = now;
    if (this.#rooms.size === 0) await this.#notifyOfUsers();
    this.#notifyRooms();
    if (this.#users.size > 0 || this.#rooms.size > 0) return;
    void this.#ticking?.stop();
    this.#ticking = undefined;
  }

  async #notifyOfUsers(): Promise<void> {
    const userIds = this.#takeUsers();
    if (userIds.length === 0 || this.#options.inboxes.size === 0) return;
    for (const roomId of await this.#readRooms(userIds)) {
      if (this.#rooms.size < maxWaiting) this.#rooms.add(roomId);
      else this.#options.inboxes.forgetStates();
    }
  }

  async #readRooms(userIds: readonly number[]): Promise<readonly string[]> {
    try {
      return await this.#options.store.readRoomsThatName(userIds);
    } catch (error) {
      // They are taken again after their gap, until the database answers.
      for (const userId of userIds) this.#users.add(userId);
      throw error;
    }
  }

  /** Takes users whose gap is over, and sends their presence again. */
  #takeUsers(): number[] {
    const now = performance.now();
    for (const [userId, notifiedAt] of this.#notifiedAt) {
      if (notifiedAt + userGapMs > now) break;
      this.#notifiedAt.delete(userId);
    }
    const taken: number[] = [];
    let notified = 0;
    for (const userId of this.#users) {
      if (notified >= notifiedPerTick || taken.length >= usersPerQuery) break;
      if (this.#notifiedAt.has(userId)) continue;
      this.#users.delete(userId);
      this.#notifiedAt.set(userId, now);
      taken.push(userId);
      notified += this.#options.presences.repeat(userId);
    }
    return taken;
  }

  #notifyRooms(): void {
    let notified = 0;
    for (const roomId of this.#rooms) {
      if (notified >= notifiedPerTick) return;
      this.#rooms.delete(roomId);
      notified += this.#options.inboxes.touch(roomId);
    }
  }
}
