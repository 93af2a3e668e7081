import type pg from 'pg';

/** The `application_name` of the connections of instances. */
export const applicationName = 'fairway';

/** PostgreSQL's settings by name; times in milliseconds. */
export type SessionSettings = Readonly<Record<string, string>>;

/** A time by the database's clock, and when it was read by `performance.now()`. */
export interface DatabaseTime {
  readonly at: number;
  readonly epochMs: number;
}

/** The state of the database at the start of a connection. */
export interface Session {
  readonly time: DatabaseTime;
  /** The current epoch of the logs. */
  readonly epoch: string;
  /** Identifies the server, its timeline and the database; null if not known. */
  readonly server: string | null;
  /** The key with which the instances seal published entries. */
  readonly entryKey: Uint8Array;
  /** The key that signs addresses of files. */
  readonly filesKey: Uint8Array;
}

/** The state of the database as known before a new connection. */
export interface KnownSession extends Pick<Session, 'epoch' | 'server'> {
  /** The epoch in which the newest connection has seen that server; `epoch` may come from others. */
  readonly seenEpoch: string;
}

/** The server was left behind at a failover, or restored to a state before one. */
export class EarlierEpochError extends Error {
  override readonly name = 'EarlierEpochError';
  constructor(known: string) {
    super(
      'The database is in an earlier epoch than it was: this is a server that was left behind at a failover. ' +
        `If it is the one to use, run \`npm run restored ${known}\``,
    );
  }
}

const statementTimeoutMs = 15_000;
/** The maximum wait for a lock of others: the caller gets an error before it would give up by itself. */
const lockTimeoutMs = 3_000;
const answerTimeoutMs = 5_000;
/** Enough to store the log positions of a million rooms. */
const followTimeoutMs = 120_000;

/** Longer than the server's own limit: only a connection that broke without notice reaches it. */
export const queryTimeoutMs = statementTimeoutMs + answerTimeoutMs;

/** An instance needs milliseconds between two statements of a transaction, whose locks stop others meanwhile. */
const idleTransactionTimeoutMs = 5_000;

/**
 * An instance that is frozen, or whose host or network is gone, keeps no lock: the server rolls its transaction back. It
 * closes the connections of such a host within a minute; by default that takes two hours.
 */
const untilLost: SessionSettings = {
  idle_in_transaction_session_timeout: String(idleTransactionTimeoutMs),
  tcp_keepalives_idle: '30',
  tcp_keepalives_interval: '10',
  tcp_keepalives_count: '3',
  tcp_user_timeout: '60000',
};

const defaults: SessionSettings = {
  ...untilLost,
  statement_timeout: String(statementTimeoutMs),
  lock_timeout: String(lockTimeoutMs),
  // The driver and the statements rely on these, regardless of the defaults of the database or the role.
  DateStyle: 'ISO',
  IntervalStyle: 'postgres',
  bytea_output: 'hex',
  extra_float_digits: '1',
  default_transaction_isolation: 'read committed',
  default_transaction_deferrable: 'off',
  // Statements are small and many. In a large database the planner would compile some of them, which takes 100 ms.
  jit: 'off',
};

/**
 * Sets how statements run on a new connection: how long they may take, and wait for a lock. Makes a commit reach the disk
 * before it is confirmed, regardless of the defaults of the server, the database or the role; `local`, `remote_write` and
 * `remote_apply` are kept, with which it is on at least one disk. Uses a statement, because poolers refuse parameters at the
 * start of a connection.
 *
 * Begins a new epoch of the logs before anything is written, if the server is another one than before. A server in recovery
 * may become that later: a connection from before its promotion stays read-only.
 * @param known - the newest known session
 * @throws {EarlierEpochError}
 */
export async function prepareSession(
  client: pg.ClientBase,
  settings: SessionSettings,
  known?: KnownSession,
): Promise<Session> {
  const all = Object.entries({ ...defaults, ...settings });
  const query = {
    text: `SELECT set_config(s.name, s.value, false), extract(epoch FROM clock_timestamp()) * 1000 AS now, e.*,
        (SELECT k.key FROM chat_keys k WHERE k.name = 'entries') AS entry_key,
        (SELECT k.key FROM chat_keys k WHERE k.name = 'files') AS files_key,
        current_setting('transaction_read_only') = 'on' AS is_read_only
      FROM chat_enter() e, (
        SELECT * FROM unnest($1::text[], $2::text[])
        UNION ALL SELECT 'synchronous_commit', 'on' WHERE current_setting('synchronous_commit') = 'off'
        UNION ALL SELECT 'default_transaction_read_only', 'on' WHERE pg_is_in_recovery()
      ) AS s(name, value)`,
    values: [all.map(([name]) => name), all.map(([, value]) => value)],
    query_timeout: answerTimeoutMs,
  };
  const askedAt = performance.now();
  const { rows } = await client.query<EnterRow>(query);
  const [row] = rows;
  if (row === undefined) throw new Error('chat_enter answered nothing');
  const { server, entry_key: entryKey, files_key: filesKey } = row;
  const time = { at: (askedAt + performance.now()) / 2, epochMs: Number(row.now) };
  const epoch = row.is_other ? await follow(client, row, known) : row.epoch;
  if (known === undefined || epoch >= known.epoch) return { time, epoch, server, entryKey, filesKey };
  // A server that was in a later epoch itself has been restored. Any other was left behind.
  const wasPutBack = server !== null && server === known.server && epoch < known.seenEpoch;
  if (!wasPutBack) throw new EarlierEpochError(known.epoch);
  const begun = await findEpoch(client, 'chat_doubt_epoch($1, NULL, 0, NULL, false)', [known.epoch]);
  if (begun < known.epoch) throw new EarlierEpochError(known.epoch);
  return { time, epoch: begun, server, entryKey, filesKey };
}

interface EnterRow {
  readonly now: string;
  readonly epoch: string;
  readonly is_other: boolean;
  readonly server: string | null;
  readonly entry_key: Uint8Array;
  readonly files_key: Uint8Array;
  readonly is_read_only: boolean;
}

/** Begins a new epoch. If the connection is read-only, that is impossible, and the connection stays read-only for its life. */
async function follow(
  client: pg.ClientBase,
  { epoch, is_read_only: isReadOnly }: EnterRow,
  known: KnownSession | undefined,
): Promise<string> {
  if (!isReadOnly) return findEpoch(client, 'chat_follow_server($1)', [known?.epoch ?? null]);
  await client.query({
    text: 'SET default_transaction_read_only = on',
    query_timeout: answerTimeoutMs,
  } as pg.QueryConfig);
  return epoch;
}

/** Resolves with the current epoch after that call, whether this or another instance began it. */
async function findEpoch(client: pg.ClientBase, call: string, values: readonly (string | null)[]): Promise<string> {
  const query = { query_timeout: followTimeoutMs };
  await client.query({ ...query, text: `SET statement_timeout = ${followTimeoutMs}` });
  const { rows } = await client.query<{ epoch: string }>({
    ...query,
    text: `SELECT ${call} AS epoch`,
    values: [...values],
  });
  await client.query({ ...query, text: `SET statement_timeout = ${statementTimeoutMs}` });
  return rows[0]?.epoch ?? '';
}
