import type { RoomFeed } from './room-feed.js';

const lookMs = 100;
/** Looking takes this part of the time at most, however many subscribers there are. */
const maxShare = 0.05;
/** Entries that have waited for less are not late: they may be under way. */
const lateMs = 100;
/** This part of the users is left out, and one more. */
const outliers = 0.01;

/** The last moment at which deliveries to the user waited because of the user's own limits, by `performance.now()`. */
export type HeldUntil = (userId: number) => number;

/**
 * Measures how late this process delivers entries. Looks now and then at the subscribers of the rooms with new entries, which
 * costs the deliveries themselves nothing. Only waits for this process count: turns of the event loop, executions, the
 * database. A subscriber whose peer does not read does not wait, nor does one in the replay at its start, nor one whose user
 * has asked for more than the limits of a user allow, or for large results of their own: then the wait counts from the end of that.
 *
 * The users with the longest waits are left out, one of a hundred and at least one: nobody can slow down the senders of all
 * by making the own deliveries expensive.
 */
export class LateEntries {
  /** The feeds with entries since the last look, or with entries that were waiting then. */
  readonly #active = new Set<RoomFeed>();
  readonly #heldUntil: HeldUntil;
  #waitedMs = 0;
  #nextAt = 0;

  constructor(heldUntil: HeldUntil) {
    this.#heldUntil = heldUntil;
  }

  /** Call it with each new entry of a feed. */
  readonly note = (feed: RoomFeed): void => {
    this.#active.add(feed);
  };

  /** How late entries are at the moment, given how late the event loop is: that delays each entry that has just arrived. */
  measure(loopLateMs: number): number {
    const isActive = this.#active.size > 0;
    const now = performance.now();
    if (now >= this.#nextAt) {
      this.#waitedMs = this.#look(now);
      const tookMs = performance.now() - now;
      this.#nextAt = now + Math.max(lookMs, tookMs / maxShare);
    }
    return isActive ? Math.max(this.#waitedMs, loopLateMs) : 0;
  }

  /** The longest wait without the outliers. */
  #look(now: number): number {
    const waits = new Map<number, number>();
    const users = new Set<number>();
    const feeds = [...this.#active];
    this.#active.clear();
    for (const feed of feeds) if (this.#findWaits(feed, now, waits)) this.#active.add(feed);
    if (waits.size === 0) return 0;
    for (const { listeners } of feeds)
      for (const { viewerId } of listeners) if (viewerId !== undefined) users.add(viewerId);
    const left = [...waits.values()].sort((a, b) => b - a).slice(1 + Math.floor(users.size * outliers));
    return left[0] ?? 0;
  }

  /** Adds the longest wait of each user to `waits`. Returns whether anybody waits for an entry, even if it is not late. */
  #findWaits({ listeners }: RoomFeed, now: number, waits: Map<number, number>): boolean {
    let isWaited = false;
    for (const listener of listeners) {
      const since = listener.waitsSince;
      if (since === undefined) continue;
      isWaited = true;
      const { viewerId = 0 } = listener;
      const longest = Math.max(lateMs, waits.get(viewerId) ?? 0);
      if (now - since <= longest) continue;
      const waitedMs = now - Math.max(since, this.#heldUntil(viewerId));
      if (waitedMs > longest) waits.set(viewerId, waitedMs);
    }
    return isWaited;
  }
}
