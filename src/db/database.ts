import pLimit from 'p-limit';
import { FairTurns, type Wait } from '../domain/fair-turns.js';
import { Changes } from './changes.js';
import { type Connection, createConnection } from './connection.js';
import { NewestEpoch } from './epochs.js';
import {
  type DatabaseTime,
  EarlierEpochError,
  type KnownSession,
  type Session,
  type SessionSettings,
} from './session.js';

/** PostgreSQL. Owned by who connected it. */
export interface Database {
  /** For what changes something, and for the few small reads on which live delivery hangs. What is locked is not waited for. */
  readonly writes: Connection;
  /** For what changes a thing that others may hold. */
  readonly changes: Changes;
  /** For what somebody looks at: however much that is, sends have connections of their own. */
  readonly reads: Connection;
  /** For leases and sweeps: whoever does what, they go on. */
  readonly upkeep: Connection;
  /**
   * Runs a query for all whose subscriptions start at this moment, a few at a time: a storm of reconnects waits for its
   * turn and starves neither sends nor reads.
   */
  replay<T>(query: (connection: Connection) => Promise<T>): Promise<T>;
  /**
   * Runs a query of one user's replay in its turn, on the same pool: users take turns, and each has an allowance of rows.
   * @throws {ChatError} RATE_LIMITED where too many replays of the user wait
   */
  replayFor<Row>(userId: number, query: (connection: Connection) => Promise<Row[]>, wait?: Wait): Promise<Row[]>;
  /** The time by the clock that dates everything stored, in milliseconds, as the newest connection has told it. */
  now(): number;
  /** The epoch of the logs. A connection to a database that is in an earlier one is not used. */
  readonly epochs: NewestEpoch;
  /** What the newest connection led to; undefined before the first one. */
  newestSession(): (Session & KnownSession) | undefined;
  /** Runs when a connection was opened behind one that failed: the database may have been put back meanwhile. */
  onReturn(action: () => void): void;
  /** For the end: a server that is silent delays it no longer than 2 s. */
  hurry(): void;
  close(): Promise<void>;
}

export interface DatabaseOptions {
  readonly url: string;
  /** Connections at most; each is opened when it is first needed. */
  readonly poolSize?: number;
  readonly readPoolSize?: number;
  readonly replayPoolSize?: number;
  /** Rows for each user. */
  readonly replayedPerMinute?: number;
  /** Told of connections that fail, of one outage not more than once in 10 s; of none after `close`. */
  readonly onError?: (error: unknown) => void;
}

const upkeepPoolSize = 4;
const waitPoolSize = 4;
/** Longer than a change of ours holds a lock; short enough that a room which somebody locked delays no other one. */
const moment: SessionSettings = { lock_timeout: '100' };
/** More subscriptions than a user may have open: nobody reaches it who resumes what they had. */
const maxWaitingReplays = 1_000;
/** A page costs about as much as so many rows more. */
const rowsOfPage = 10;
const renewEveryMs = 1_000;
const tellEveryMs = 10_000;

/** Connects lazily: the first query opens the first connection. */
export function connectDatabase({
  url,
  poolSize = 10,
  readPoolSize = 10,
  replayPoolSize = 4,
  replayedPerMinute = 240_000,
  onError = () => undefined,
}: DatabaseOptions): Database {
  let closed = false;
  let renewedAt = Number.NEGATIVE_INFINITY;
  /** When each kind of trouble was last told. */
  const toldAt = { earlier: Number.NEGATIVE_INFINITY, other: Number.NEGATIVE_INFINITY };
  let time: DatabaseTime = { at: performance.now(), epochMs: Date.now() };
  const epochs = new NewestEpoch();
  let newest: Session | undefined;
  const returnActions: (() => void)[] = [];
  let wasAway = false;
  const onSession = (session: Session) => {
    // Another connection may have found a later one meanwhile.
    if (session.epoch < epochs.present) throw new EarlierEpochError(epochs.present);
    newest = session;
    epochs.note(session.epoch);
    time = session.time;
    if (!wasAway) return;
    wasAway = false;
    for (const action of returnActions) action();
  };
  // The pool's own end does not wait for its idle connections: what cuts them off afterwards is no failure.
  const report = (error: unknown) => {
    wasAway = true;
    if (!closed) onError(error);
  };
  // Behind a failover the old server may live on and answer reads: one refused write is enough to leave it, for all.
  const onDoubt = (error: unknown) => {
    wasAway = true;
    // There is nothing to leave: the connection was not used.
    if (error instanceof EarlierEpochError) return tell(error);
    const now = performance.now();
    if (now - renewedAt < renewEveryMs) return;
    renewedAt = now;
    for (const connection of all) connection.renew();
    tell(error);
  };
  const tell = (error: unknown) => {
    const now = performance.now();
    const kind = error instanceof EarlierEpochError ? 'earlier' : 'other';
    if (now - toldAt[kind] < tellEveryMs) return;
    toldAt[kind] = now;
    report(error);
  };
  const newestSession = () => newest && { ...newest, epoch: epochs.present, seenEpoch: newest.epoch };
  const open = (max: number, settings: SessionSettings = {}) =>
    createConnection({ url, max, settings, onError: report, onSession, newestSession, onDoubt });
  const writes = open(poolSize, moment);
  const waits = open(waitPoolSize);
  const reads = open(readPoolSize);
  const upkeep = open(upkeepPoolSize);
  const replay = open(replayPoolSize);
  const all = [writes, waits, reads, upkeep, replay];
  // Half of the pool for each, so that what is short does not wait for replays.
  const replaysAtOnce = Math.max(1, Math.floor(replayPoolSize / 2));
  const limitStarts = pLimit(Math.max(1, replayPoolSize - replaysAtOnce));
  const rowsPerSecond = replayedPerMinute / 60;
  const replays = new FairTurns({
    atOnce: replaysAtOnce,
    // No user has all of them.
    atOncePerUser: Math.max(1, replaysAtOnce - 1),
    maxWaitingPerUser: maxWaitingReplays,
    allowance: { burst: 2 * rowsPerSecond, perSecond: rowsPerSecond },
  });
  // Connections that are open may lead to the server that was left behind.
  epochs.onChange(() => {
    for (const connection of all) connection.renew();
  });
  return {
    writes,
    changes: new Changes({ connection: writes, size: poolSize }, { connection: waits, size: waitPoolSize }),
    reads,
    upkeep,
    replay: (query) => limitStarts(() => query(replay)),
    replayFor: async (userId, query, wait) => {
      const rows = await replays.take(userId, () => query(replay), { cost: rowsOfPage, ...wait });
      replays.charge(userId, rows.length);
      return rows;
    },
    epochs,
    newestSession,
    onReturn: (action) => void returnActions.push(action),
    now: () => time.epochMs + performance.now() - time.at,
    hurry: () => {
      for (const connection of all) connection.hurry();
    },
    close: async () => {
      closed = true;
      await Promise.all(all.map((connection) => connection.close()));
    },
  };
}
