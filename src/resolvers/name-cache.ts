import { LRUCache } from 'lru-cache';
import type { UserProfile } from '../db/user-row.js';

/** Both lists together take about 30 MB when they are full. */
const maxUsers = 50_000;
/** In units of 256 characters, of which every user has one: a picture may have a long URL. */
const maxUsersSize = 60_000;
const maxConfirmed = 50_000;
/**
 * The latest time at which a new name shows if no signal of it arrives: for example if it was written into the table by hand,
 * or by an instance that did not learn that its write was committed.
 */
const lifetimeMs = 60_000;

interface Kept {
  readonly user: UserProfile;
  /** By `performance.now()`. */
  readonly readAt: number;
  isUsed: boolean;
}

/** A user from a query: by number, or as shown in a room, with the name if they are confirmed there. */
export type ReadUser = UserProfile & { readonly roomId?: string; readonly isConfirmed?: boolean };

/**
 * The names and pictures of users that this process has read, and who is a confirmed member of which room, so that events need no query
 * for them. Only users with a row are kept: all paths that change a name announce it for them. Who may see a name is not kept,
 * except that a confirmed member of a room stays confirmed there.
 */
export class NameCache {
  readonly #signals: { readonly isComplete: boolean };
  readonly #users = new LRUCache<number, Kept>({
    max: maxUsers,
    maxSize: maxUsersSize,
    sizeCalculation: ({ user }) => 1 + ((user.avatarUrl?.length ?? 0) >> 8),
    dispose: (_, userId) => this.#readOrder.delete(userId),
  });
  /** The users in the order in which they were read. */
  readonly #readOrder = new Set<number>();
  /** By `roomId userId`. It never becomes false again. */
  readonly #confirmed = new LRUCache<string, true>({ max: maxConfirmed });
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
  get(userId: number): UserProfile | undefined {
    const kept = this.#signals.isComplete ? this.#users.get(userId) : undefined;
    if (kept === undefined || isExpired(kept)) return undefined;
    kept.isUsed = true;
    return kept.user;
  }

  /** The same for a confirmed member of the room; undefined for everybody else, who may have to be shown as "#5" there. */
  getMember(roomId: string, userId: number): UserProfile | undefined {
    return this.isConfirmed(roomId, userId) ? this.get(userId) : undefined;
  }

  /** Whether the user is known to be a confirmed member of the room, now or formerly. */
  isConfirmed(roomId: string, userId: number): boolean {
    return this.#confirmed.get(keyOf(roomId, userId)) === true;
  }

  /** Drops expired names. Returns the users whose names were used, at most `count`, so that they can be read again. */
  takeExpired(count: number): number[] {
    const used: number[] = [];
    for (const userId of this.#readOrder) {
      const kept = this.#users.peek(userId);
      if (kept === undefined || !isExpired(kept) || used.length === count) break;
      this.#users.delete(userId);
      if (kept.isUsed) used.push(userId);
    }
    return used;
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

  #keep({ roomId, isConfirmed = true, id, name, avatarUrl, isDeleted }: ReadUser): void {
    if (!isConfirmed) return;
    this.#users.set(id, { user: { id, name, avatarUrl, isDeleted }, readAt: performance.now(), isUsed: false });
    this.#readOrder.add(id);
    if (roomId !== undefined) this.#confirmed.set(keyOf(roomId, id), true);
  }
}

const isExpired = ({ readAt }: Kept): boolean => performance.now() - readAt >= lifetimeMs;

const keyOf = (roomId: string, userId: number): string => `${roomId} ${userId}`;
