import { ChatError } from '../domain/errors.js';
import { FairTurns, type TurnTaker } from '../domain/fair-turns.js';
import type { Connection } from './connection.js';
import { LockedError, unavailable } from './database-errors.js';

type Work<T> = (connection: Connection) => Promise<T>;

interface Pool {
  readonly connection: Connection;
  readonly size: number;
}

/** Who changes something. */
export interface Changer {
  readonly user: TurnTaker;
  /** Called where the change waits for what others hold: the user's other changes need not wait for it. */
  readonly onHeldUp?: (() => void) | undefined;
}

/** The connections of a pool, and whose turn it is to have one. */
interface Lane {
  readonly connection: Connection;
  readonly turns: FairTurns;
}

/** What waits for one thing, or of one user; beyond that the caller is told. */
const maxWaiting = 256;
/** What waits longer has a caller that gave up, or one that should. */
const maxWaitMs = 10_000;
const retryAfterMs = 1_000;
/** A change that is not the first of its thing may well be a moment later. */
const heldUpMs = 100;

/**
 * Changes of what others may hold, a room say: one at a time of each, so that however many want to change a thing that is
 * locked, all others go on. One that finds it locked waits on connections for that alone, for 3 s; if it waits in vain,
 * so would those behind it, who are told at once.
 *
 * Users take turns, and no user has more than half of the connections: however slow the database is, a change of somebody
 * else finds one. What waits holds neither a connection nor what it is about.
 */
export class Changes {
  /** On these nobody waits for a lock for longer than a moment. */
  readonly #writes: Lane;
  /** On these one waits. */
  readonly #waits: Lane;
  /** What is being changed. */
  readonly #taken = new Set<string>();
  /** By what is to be changed: those who wait for their turn. */
  readonly #waiting = new Map<string, Set<AbortController>>();

  constructor(writes: Pool, waits: Pool) {
    this.#writes = toLane(writes);
    this.#waits = toLane(waits);
  }

  /**
   * @param changer - without one, as for the platform, only the bounds of the thing hold
   * @throws {ChatError} UNAVAILABLE where it stays locked or the wait is too long, RATE_LIMITED where too many wait already
   */
  async change<T>(what: string, work: Work<T>, changer: Changer = { user: what }): Promise<T> {
    const leave = await this.#take(what, this.#writes, changer);
    return this.#finish(what, async () => {
      try {
        return await work(this.#writes.connection);
      } catch (error) {
        if (!(error instanceof LockedError)) throw error;
      } finally {
        leave();
      }
      changer.onHeldUp?.();
      return this.#waits.turns.take(changer.user, () => work(this.#waits.connection), {
        signal: () => createDeadline().signal,
      });
    });
  }

  /** The same for those who have found it locked already, whoever they are. They go before other changes of it. */
  async wait<T>(what: string, work: Work<T>): Promise<T> {
    const leave = await this.#take(what, this.#waits, { user: what });
    return this.#finish(what, () => work(this.#waits.connection).finally(leave));
  }

  /** Resolves when the turn has come and the thing is free, which it is not any more then; with how to end the turn. */
  async #take(what: string, { turns }: Lane, { user, onHeldUp = ignore }: Changer): Promise<() => void> {
    const waiting = this.#waiting.get(what) ?? new Set();
    if (waiting.size >= maxWaiting) {
      throw new ChatError('RATE_LIMITED', 'Too many changes of this at once; wait a little', { retryAfterMs });
    }
    let end: AbortController | undefined;
    let heldUp: NodeJS.Timeout | undefined;
    const claim = () => {
      const isFree = !this.#taken.has(what);
      if (isFree) this.#taken.add(what);
      else heldUp ??= setTimeout(onHeldUp, heldUpMs);
      return isFree;
    };
    const signal = () => {
      end = createDeadline();
      this.#waiting.set(what, waiting.add(end));
      return end.signal;
    };
    try {
      return await turns.enter(user, { signal, claim });
    } finally {
      clearTimeout(heldUp);
      if (end !== undefined && waiting.delete(end) && waiting.size === 0) this.#waiting.delete(what);
    }
  }

  async #finish<T>(what: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof LockedError) for (const end of this.#waiting.get(what) ?? []) end.abort(error);
      throw error;
    } finally {
      this.#taken.delete(what);
      for (const { turns } of [this.#waits, this.#writes]) turns.call();
    }
  }
}

const ignore = (): void => undefined;

/** Aborts itself when a wait has lasted for too long. */
function createDeadline(): AbortController {
  const deadline = new AbortController();
  const late = () => deadline.abort(unavailable(new Error('No connection was free in time')));
  setTimeout(late, maxWaitMs).unref();
  return deadline;
}

const toLane = ({ connection, size }: Pool): Lane => ({
  connection,
  turns: new FairTurns({
    atOnce: size,
    atOncePerUser: Math.max(1, Math.floor(size / 2)),
    maxWaitingPerUser: maxWaiting,
  }),
});
