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

/** PostgreSQL. The code that connects it has to close it. */
export interface Database {
  /** For changes, and for the few small reads that live delivery needs. Does not wait for locks. */
  readonly writes: Connection;
  /** For changes of things that other transactions may lock. */
  readonly changes: Changes;
  /** For queries of users; they cannot take the connections of changes. */
  readonly reads: Connection;
  /** For leases and sweeps, which must go on under any load. */
  readonly upkeep: Connection;
  /**
   * Runs a query for starting subscriptions, a few at a time, so that a storm of reconnects delays neither changes nor queries.
   */
  replay<T>(query: (connection: Connection) => Promise<T>): Promise<T>;
  /**
   * Runs a query of one user's replay on the same pool: users take turns, and each has an allowance of rows.
   * @throws {ChatError} RATE_LIMITED if too many replays of the user wait
   */
  replayFor<Row>(
    userId: number,
    query: (connection: Connection) => Promise<readonly Row[]>,
    wait?: Wait,
  ): Promise<readonly Row[]>;
  /** Takes rows that were read for another user from the allowance. False if it is spent: then nothing is taken. */
  chargeReplay(userId: number, rows: number): boolean;
  /** When the user's own limits last held up a replay, as `heldUntil` of `FairTurns`. */
  replaysHeldUntil(userId: number): number;
  /** The time in milliseconds by the database's clock, which dates all rows, as the newest connection has read it. */
  now(): number;
  /** The newest known epoch. Connections in an earlier epoch are not used. */
  readonly epochs: NewestEpoch;
  /** The session of the newest connection; undefined before the first one. */
  newestSession(): (Session & KnownSession) | undefined;
  /** Runs when a connection succeeds after a failure: the database may have been restored meanwhile. */
  onReturn(action: () => void): void;
  /** Opens some connections of each pool before the first user needs them. */
  warmUp(): Promise<void>;
  /** For the stop: a server that does not answer delays it for 2 s at most. */
  hurry(): void;
  close(): Promise<void>;
}

export interface DatabaseOptions {
  readonly url: string;
  /** The maximum number of connections; each is opened when it is needed. */
  readonly poolSize?: number;
  readonly readPoolSize?: number;
  readonly replayPoolSize?: number;
  /** How many processes share the sizes. */
  readonly workers?: number;
  /** Rows per user. */
  readonly replayedPerMinute?: number;
  /** Called when connections fail, at most once in 10 s for one outage, and never after `close`. */
  readonly onError?: (error: unknown) => void;
}

const upkeepPoolSize = 4;
const waitPoolSize = 4;
/** Longer than our own changes hold a lock, and so short that a locked room does not delay other rooms. */
const moment: SessionSettings = { lock_timeout: '100' };
/** More than the subscriptions that a user may have open, so that resuming all of them never reaches it. */
const maxWaitingReplays = 1_000;
/** A page costs about as much as this many rows. */
const rowsOfPage = 10;
/** Connections of each pool that stay open: an overloaded process takes seconds to open one. */
const keptOpen = 2;
const renewEveryMs = 1_000;
const tellEveryMs = 10_000;

/** With two, work that takes long does not stop everything else. */
const minShare = 2;

/** A worker's part of a pool. A single process has all of it, even if that is one connection. */
export const shareOf = (size: number, workers: number): number =>
  workers === 1 ? size : Math.max(minShare, Math.ceil(size / workers));

/** Connects lazily: the first query opens the first connection. */
export function connectDatabase({
  url,
  poolSize = 10,
  readPoolSize = 10,
  replayPoolSize = 4,
  workers = 1,
  replayedPerMinute = 240_000,
  onError = () => undefined,
}: DatabaseOptions): Database {
  let closed = false;
  let renewedAt = Number.NEGATIVE_INFINITY;
  /** When each kind of failure was last reported. */
  const toldAt = { earlier: Number.NEGATIVE_INFINITY, other: Number.NEGATIVE_INFINITY };
  let time: DatabaseTime = { at: performance.now(), epochMs: Date.now() };
  const epochs = new NewestEpoch();
  let newest: Session | undefined;
  const returnActions: (() => void)[] = [];
  let wasAway = false;
  const onSession = (session: Session) => {
    // Another connection may have found a later epoch meanwhile.
    if (session.epoch < epochs.present) throw new EarlierEpochError(epochs.present);
    newest = session;
    epochs.note(session.epoch);
    time = session.time;
    if (!wasAway) return;
    wasAway = false;
    for (const action of returnActions) action();
  };
  // The pool closes without waiting for idle connections: errors on them after `close` are no failures.
  const report = (error: unknown) => {
    wasAway = true;
    if (!closed) onError(error);
  };
  // After a failover the old server may still answer reads. One refused write makes all connections leave it.
  const onDoubt = (error: unknown) => {
    wasAway = true;
    // No renewal is needed: the connection was not used.
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
    createConnection({
      url,
      max,
      min: Math.min(max, keptOpen),
      settings,
      onError: report,
      onSession,
      newestSession,
      onDoubt,
    });
  const share = (size: number) => shareOf(size, workers);
  const writes = open(share(poolSize), moment);
  const waits = open(share(waitPoolSize));
  const reads = open(share(readPoolSize));
  const upkeep = open(share(upkeepPoolSize));
  const replay = open(share(replayPoolSize));
  const all = [writes, waits, reads, upkeep, replay];
  // Half of the pool each, so that the short queries do not wait for replays.
  const replaysAtOnce = Math.max(1, Math.floor(share(replayPoolSize) / 2));
  const limitStarts = pLimit(Math.max(1, share(replayPoolSize) - replaysAtOnce));
  const rowsPerSecond = replayedPerMinute / 60;
  const replays = new FairTurns({
    atOnce: replaysAtOnce,
    // Not all of them, so that other users find one.
    atOncePerUser: Math.max(1, replaysAtOnce - 1),
    maxWaitingPerUser: maxWaitingReplays,
    allowance: { burst: 2 * rowsPerSecond, perSecond: rowsPerSecond },
  });
  // Open connections may lead to the old server.
  epochs.onChange(() => {
    for (const connection of all) connection.renew();
  });
  return {
    writes,
    changes: new Changes(
      { connection: writes, size: share(poolSize) },
      { connection: waits, size: share(waitPoolSize) },
    ),
    reads,
    upkeep,
    replay: (query) => limitStarts(() => query(replay)),
    replayFor: async (userId, query, wait) => {
      const rows = await replays.take(userId, () => query(replay), { cost: rowsOfPage, ...wait });
      replays.charge(userId, rows.length);
      return rows;
    },
    chargeReplay: (userId, rows) => {
      if (replays.restMs(userId) > 0) return false;
      replays.charge(userId, rows);
      return true;
    },
    replaysHeldUntil: (userId) => replays.heldUntil(userId),
    epochs,
    newestSession,
    onReturn: (action) => void returnActions.push(action),
    now: () => time.epochMs + performance.now() - time.at,
    warmUp: async () => {
      await Promise.all(all.map((connection) => connection.warmUp()));
    },
    hurry: () => {
      for (const connection of all) connection.hurry();
    },
    close: async () => {
      closed = true;
      await Promise.all(all.map((connection) => connection.close()));
    },
  };
}
