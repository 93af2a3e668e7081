import type pg from 'pg';

/** By which the server knows the connections of instances. */
export const applicationName = 'fairway';

/** PostgreSQL's settings by name; times in milliseconds. */
export type SessionSettings = Readonly<Record<string, string>>;

/** What the database's clock showed, and when that was by `performance.now()`. */
export interface DatabaseTime {
  readonly at: number;
  readonly epochMs: number;
}

/** What a new connection leads to. */
export interface Session {
  readonly time: DatabaseTime;
  /** The present epoch of the logs there. */
  readonly epoch: string;
  /** Which history of which server it is; null where that is not known. */
  readonly server: string | null;
  /** With which the instances seal what they publish. */
  readonly entryKey: Uint8Array;
}

/** What is known of the database by the time that another connection begins. */
export interface KnownSession extends Pick<Session, 'epoch' | 'server'> {
  /** The epoch in which the newest connection has seen that server; `epoch` may be one that others have seen. */
  readonly seenEpoch: string;
}

/** The server at the other end was left behind at a failover, or put back to before one. */
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
/** Of what somebody else holds: the caller is told before it would give up by itself. */
const lockTimeoutMs = 3_000;
const answerTimeoutMs = 5_000;
/** To write down where the logs of a million rooms stand. */
const followTimeoutMs = 120_000;

/** Longer than the server's own limit: only a connection that died without a word is cut by it. */
export const queryTimeoutMs = statementTimeoutMs + answerTimeoutMs;

const defaults: SessionSettings = {
  statement_timeout: String(statementTimeoutMs),
  lock_timeout: String(lockTimeoutMs),
  // As the driver reads values, and as the statements are meant, whatever the database or the role says by default.
  DateStyle: 'ISO',
  IntervalStyle: 'postgres',
  bytea_output: 'hex',
  extra_float_digits: '1',
  default_transaction_isolation: 'read committed',
  default_transaction_deferrable: 'off',
  // Statements are small and many. In a large database the planner takes some of them for worth 100 ms of compiling.
  jit: 'off',
};

/**
 * Settles how statements run on a new connection: how long they may take and wait for a lock. And a commit is on disk
 * before it is answered, whatever the server, the database or the role says by default; `local`, `remote_write` and
 * `remote_apply` stay, by which it is at least on one. By a statement, not as parameters of the start, which poolers refuse.
 *
 * And before anything is written over it, the logs begin a new epoch where the server is another one than before. A server
 * that recovers may become that later: over a connection from before nothing is written.
 * @param known - the newest session that there was
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
  const { server, entry_key: entryKey } = row;
  const time = { at: (askedAt + performance.now()) / 2, epochMs: Number(row.now) };
  const epoch = row.is_other ? await follow(client, row, known) : row.epoch;
  if (known === undefined || epoch >= known.epoch) return { time, epoch, server, entryKey };
  // The very server that was in a later one: it was put back. Any other was left behind.
  const wasPutBack = server !== null && server === known.server && epoch < known.seenEpoch;
  if (!wasPutBack) throw new EarlierEpochError(known.epoch);
  const begun = await findEpoch(client, 'chat_doubt_epoch($1, NULL, 0, NULL, false)', [known.epoch]);
  if (begun < known.epoch) throw new EarlierEpochError(known.epoch);
  return { time, epoch: begun, server, entryKey };
}

interface EnterRow {
  readonly now: string;
  readonly epoch: string;
  readonly is_other: boolean;
  readonly server: string | null;
  readonly entry_key: Uint8Array;
  readonly is_read_only: boolean;
}

/** Where nothing can be begun, as nothing can be written, nothing is to be written over this connection later either. */
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

/** Resolves with the epoch that is the present one behind that call, whoever began it. */
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
