import { ChatError } from '../domain/errors.js';
import type { Connection } from './connection.js';
import { LockedError } from './database-errors.js';

type Work<T> = (connection: Connection) => Promise<T>;

interface Turn {
  readonly begin: () => void;
  readonly refuse: (error: unknown) => void;
}

/** What waits for one thing; beyond that the caller is told. */
const maxTurns = 256;
const retryAfterMs = 1_000;

/**
 * Changes of what others may hold, a room say: one at a time of each, so that however many want to change a thing that is
 * locked, all others go on. One that finds it locked waits on connections for that alone, for 3 s; if it waits in vain,
 * so would those behind it, who are told at once.
 */
export class Changes {
  /** On these nobody waits for a lock for longer than a moment. */
  readonly #writes: Connection;
  /** On these one waits. */
  readonly #waits: Connection;
  /** By what is changed: who waits for their turn behind the one that is under way. */
  readonly #turns = new Map<string, Turn[]>();

  constructor(writes: Connection, waits: Connection) {
    this.#writes = writes;
    this.#waits = waits;
  }

  /** @throws {ChatError} UNAVAILABLE where it stays locked, RATE_LIMITED where too many wait for it already */
  change<T>(what: string, work: Work<T>): Promise<T> {
    return this.#inTurn(what, () =>
      work(this.#writes).catch((error: unknown) => {
        if (error instanceof LockedError) return work(this.#waits);
        throw error;
      }),
    );
  }

  /** The same for who has found it locked already. */
  wait<T>(what: string, work: Work<T>): Promise<T> {
    return this.#inTurn(what, () => work(this.#waits));
  }

  async #inTurn<T>(what: string, work: () => Promise<T>): Promise<T> {
    await this.#takeTurn(what);
    try {
      return await work();
    } catch (error) {
      if (error instanceof LockedError) for (const { refuse } of this.#turns.get(what)?.splice(0) ?? []) refuse(error);
      throw error;
    } finally {
      const next = this.#turns.get(what)?.shift();
      if (next === undefined) this.#turns.delete(what);
      else next.begin();
    }
  }

  async #takeTurn(what: string): Promise<void> {
    const turns = this.#turns.get(what);
    if (turns === undefined) {
      this.#turns.set(what, []);
      return;
    }
    if (turns.length >= maxTurns) {
      throw new ChatError('RATE_LIMITED', 'Too many changes of this at once; wait a little', { retryAfterMs });
    }
    await new Promise<void>((begin, refuse) => turns.push({ begin, refuse }));
  }
}
