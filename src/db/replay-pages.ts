import { LRUCache } from 'lru-cache';
import type { Wait } from '../domain/fair-turns.js';
import type { LogRange, StoredEntry } from '../domain/room-log.js';
import type { Connection } from './connection.js';
import type { Database } from './database.js';

/** Subscribers who return together ask within this time. */
const keptMs = 5_000;
/** The bound of all kept pages, in characters of text; the other fields of an entry count as `fieldChars`. */
const maxKeptChars = 4_000_000;
const fieldChars = 500;

/** A subscriber that waits for its turn, or for somebody who reads the same page. */
interface Place {
  readonly viewerId: number;
  /** Ends the waiting for a turn. */
  readonly departure: AbortController;
  page: readonly StoredEntry[] | undefined;
}

/**
 * The pages of replays. Subscribers of a room who lost their connections together ask for the same range when they return: the
 * first whose turn comes reads it, and all others get the same entries, whose executions and frames they therefore share, too.
 *
 * A page may be read at any time: a range ends at a position that the log has reached when it is asked for, so a page contains
 * all changes up to there, and later changes have later positions.
 */
export class ReplayPages {
  readonly #db: Database;
  readonly #read: (connection: Connection, range: LogRange) => Promise<StoredEntry[]>;
  readonly #pages = new LRUCache<string, readonly StoredEntry[]>({
    maxSize: maxKeptChars,
    sizeCalculation: (page) => fieldChars + page.reduce((sum, entry) => sum + charsOf(entry), 0),
    ttl: keptMs,
    ttlAutopurge: true,
  });
  readonly #reading = new Map<string, Promise<readonly StoredEntry[]>>();
  readonly #waiting = new Map<string, Set<Place>>();

  constructor(db: Database, read: (connection: Connection, range: LogRange) => Promise<StoredEntry[]>) {
    this.#db = db;
    this.#read = read;
  }

  /** @throws {ChatError} as `replayFor` of the database does */
  async load(range: LogRange, viewerId: number, wait: Wait): Promise<readonly StoredEntry[]> {
    const { roomId, base, after, upTo } = range;
    const key = [this.#db.epochs.present, roomId, base, after, upTo].join(' ');
    const known = this.#pages.get(key);
    if (known !== undefined && this.#db.chargeReplay(viewerId, known.length)) return known;

    const place: Place = { viewerId, departure: new AbortController(), page: undefined };
    const given = wait.signal?.();
    const depart = () => place.departure.abort(given?.reason);
    given?.addEventListener('abort', depart);
    if (given?.aborted === true) depart();
    this.#enter(key, place);
    try {
      const read = (connection: Connection) => {
        this.#leave(key, place);
        return this.#readOnce(key, connection, range);
      };
      const page = await this.#db.replayFor(viewerId, read, { ...wait, signal: () => place.departure.signal });
      // Only now, because the reader, who may wait for the same page elsewhere, has been charged.
      this.#giveToWaiting(key, page);
      return page;
    } catch (error) {
      if (place.page === undefined) throw error;
      return place.page;
    } finally {
      given?.removeEventListener('abort', depart);
      this.#leave(key, place);
    }
  }

  async #readOnce(key: string, connection: Connection, range: LogRange): Promise<readonly StoredEntry[]> {
    const known = this.#pages.get(key) ?? this.#reading.get(key);
    if (known !== undefined) return known;
    const reading = this.#read(connection, range);
    this.#reading.set(key, reading);
    try {
      const page = await reading;
      this.#pages.set(key, page);
      return page;
    } finally {
      this.#reading.delete(key);
    }
  }

  /** A user who has spent the allowance keeps waiting for a turn. */
  #giveToWaiting(key: string, page: readonly StoredEntry[]): void {
    for (const place of this.#waiting.get(key) ?? []) {
      if (!this.#db.chargeReplay(place.viewerId, page.length)) continue;
      place.page = page;
      // Without a reason, each abort would create an exception with a stack.
      place.departure.abort('Somebody else has read the page');
    }
  }

  #enter(key: string, place: Place): void {
    const places = this.#waiting.get(key) ?? new Set();
    places.add(place);
    this.#waiting.set(key, places);
  }

  #leave(key: string, place: Place): void {
    const places = this.#waiting.get(key);
    places?.delete(place);
    if (places?.size === 0) this.#waiting.delete(key);
  }
}

const charsOf = ({ message }: StoredEntry): number => fieldChars + (message.content?.length ?? 0);
