import { ChatError } from '../domain/errors.js';
import { FairTurns, type TurnTaker } from '../domain/fair-turns.js';
import type { Connection } from './connection.js';
import { LockedError, unavailable } from './database-errors.js';

type Work<T> = (connection: Connection) => Promise<T>;

interface Pool {
  readonly connection: Connection;
  readonly size: number;
}

/** The user who makes a change. */
export interface Changer {
  readonly user: TurnTaker;
  /** Called when the change waits for a lock of others, so that the user's other changes need not wait for it. */
  readonly onHeldUp?: (() => void) | undefined;
}

/** The connections of a pool, and the turns in which users get them. */
interface Lane {
  readonly connection: Connection;
  readonly turns: FairTurns;
}

/** The maximum number of waiting changes of one thing, and of one user; more are refused. */
const maxWaiting = 256;
/** A change that waits longer is refused: its caller has probably given up. */
const maxWaitMs = 10_000;
const retryAfterMs = 1_000;
/** A change that waits less than this for others of the same thing keeps its user's turn. */
const heldUpMs = 100;

/**
 * Runs changes of things that other transactions may lock, such as rooms: one change per thing at a time, so that many
 * changes of a locked thing do not block changes of others. A change that finds it locked waits for up to 3 s, on
 * connections only for that. If the wait fails, the changes behind it are refused at once.
 *
 * Users take turns, and no user has more than half of the connections, so that other users find one even if the database
 * is slow. A waiting change holds neither a connection nor a lock.
 */
export class Changes {
  /** Here no change waits for a lock for more than 100 ms. */
  readonly #writes: Lane;
  /** Here changes wait for locks. */
  readonly #waits: Lane;
  /** The things that are being changed. */
  readonly #taken = new Set<string>();
  /** The waiting changes, by thing. */
  readonly #waiting = new Map<string, Set<AbortController>>();

  constructor(writes: Pool, waits: Pool) {
    this.#writes = toLane(writes);
    this.#waits = toLane(waits);
  }

  /**
   * @param changer - absent for the platform: then only the limits of the thing apply
   * @throws {ChatError} UNAVAILABLE if it stays locked or the wait is too long, RATE_LIMITED if too many changes wait already
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

  /** The same for a change that has found it locked already, for any user. It runs before other changes of the thing. */
  async wait<T>(what: string, work: Work<T>): Promise<T> {
    const leave = await this.#take(what, this.#waits, { user: what });
    return this.#finish(what, () => work(this.#waits.connection).finally(leave));
  }

  /** Resolves when the turn has come and the thing is free, and claims it. Returns a function that ends the turn. */
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
