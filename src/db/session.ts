import type pg from 'pg';

/** PostgreSQL's settings by name; times in milliseconds. */
export type SessionSettings = Readonly<Record<string, string>>;

/** What the database's clock showed, and when that was by `performance.now()`. */
export interface DatabaseTime {
  readonly at: number;
  readonly epochMs: number;
}

const statementTimeoutMs = 15_000;
/** Of what somebody else holds: the caller is told before it would give up by itself. */
const lockTimeoutMs = 3_000;
const answerTimeoutMs = 5_000;

/** Longer than the server's own limit: only a connection that died without a word is cut by it. */
export const queryTimeoutMs = statementTimeoutMs + answerTimeoutMs;

const defaults: SessionSettings = {
  statement_timeout: String(statementTimeoutMs),
  lock_timeout: String(lockTimeoutMs),
};

/**
 * Settles how statements run on a new connection: how long they may take and wait for a lock. And a commit is on disk
 * before it is answered, whatever the server, the database or the role says by default; `local`, `remote_write` and
 * `remote_apply` stay, by which it is at least on one. By a statement, not as parameters of the start, which poolers refuse.
 */
export async function prepareSession(client: pg.ClientBase, settings: SessionSettings): Promise<DatabaseTime> {
  const all = Object.entries({ ...defaults, ...settings });
  const query = {
    text: `SELECT set_config(s.name, s.value, false), extract(epoch FROM clock_timestamp()) * 1000 AS now FROM (
        SELECT * FROM unnest($1::text[], $2::text[])
        UNION ALL SELECT 'synchronous_commit', 'on' WHERE current_setting('synchronous_commit') = 'off'
      ) AS s(name, value)`,
    values: [all.map(([name]) => name), all.map(([, value]) => value)],
    query_timeout: answerTimeoutMs,
  };
  const askedAt = performance.now();
  const { rows } = await client.query<{ now: string }>(query);
  return { at: (askedAt + performance.now()) / 2, epochMs: Number(rows[0]?.now) };
}
