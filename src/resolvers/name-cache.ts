import { LRUCache } from 'lru-cache';
import type { User } from '../db/user-row.js';

/** Both lists together take about 20 MB when they are full. */
const maxUsers = 50_000;
const maxConfirmed = 50_000;
/**
 * The latest time at which a new name shows if no signal of it arrives: for example if it was written into the table by hand,
 * or by an instance that did not learn that its write was committed.
 */
const lifetimeMs = 60_000;

const clock = { now: () => performance.now() };

/** A user from a query: by number, or as shown in a room, with the name if they are confirmed there. */
export type ReadUser = User & { readonly roomId?: string; readonly isConfirmed?: boolean };

/**
 * The names of users that this process has read, and who is a confirmed member of which room, so that events need no query
 * for them. Only users with a row are kept: all paths that change a name announce it for them. Who may see a name is not kept,
 * except that a confirmed member of a room stays confirmed there.
 */
export class NameCache {
  readonly #signals: { readonly isComplete: boolean };
  readonly #users = new LRUCache<number, User>({ max: maxUsers, ttl: lifetimeMs, perf: clock });
  /** By `roomId userId`. */
  readonly #confirmed = new LRUCache<string, true>({ max: maxConfirmed, ttl: lifetimeMs, perf: clock });
  /** Grows with every change: a query from before a change may have read the old name. */
  #generation = 0;

  /** @param signals - while they are not complete, nothing is kept or returned */
  constructor(signals: { readonly isComplete: boolean }) {
    this.#signals = signals;
  }

  /** The number of kept entries. */
  get size(): number {
    return this.#users.size + this.#confirmed.size;
  }

  /** The user with their name, for viewers who may see it; undefined if it has to be read. */
  get(userId: number): User | undefined {
    return this.#signals.isComplete ? this.#users.get(userId) : undefined;
  }

  /** The same for a confirmed member of the room; undefined for everybody else, who may have to be shown as "#5" there. */
  getMember(roomId: string, userId: number): User | undefined {
    return this.#confirmed.get(keyOf(roomId, userId)) === true ? this.get(userId) : undefined;
  }

  /** Resolves with the users from a query. Keeps them, unless a name has changed meanwhile. */
  async read<Row extends ReadUser>(query: () => Promise<readonly Row[]>): Promise<readonly Row[]> {
    const { isComplete } = this.#signals;
    const generation = this.#generation;
    const users = await query();
    if (isComplete && generation === this.#generation) for (const user of users) this.#keep(user);
    return users;
  }

  /** The user has a new name. */
  forget(userId: number): void {
    this.#generation += 1;
    this.#users.delete(userId);
  }

  /** Signals may have been missed, or rows lost. */
  clear(): void {
    this.#generation += 1;
    this.#users.clear();
    this.#confirmed.clear();
  }

  #keep({ id, name, roomId, isConfirmed = true }: ReadUser): void {
    if (!isConfirmed) return;
    this.#users.set(id, { id, name });
    if (roomId !== undefined) this.#confirmed.set(keyOf(roomId, id), true);
  }
}

const keyOf = (roomId: string, userId: number): string => `${roomId} ${userId}`;
