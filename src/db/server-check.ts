import { Socket } from 'node:net';
import pg from 'pg';

/** The server is there, and cannot be used as it is; the message says what to do. */
export class DatabaseUnusableError extends Error {
  override readonly name = 'DatabaseUnusableError';
}

/** The server cannot be reached, or does not answer. */
export class DatabaseUnreachableError extends Error {
  override readonly name = 'DatabaseUnreachableError';
}

const connectTimeoutMs = 5_000;
const rounds = 3;

/**
 * Connects, for 5 s at most. The caller ends it.
 * @param signal - cuts the connection, whatever it waits for
 * @throws {DatabaseUnreachableError}
 */
export async function connectClient(url: string, signal?: AbortSignal): Promise<pg.Client> {
  const cut = signal === undefined ? {} : { stream: () => new Socket({ signal }) };
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: connectTimeoutMs, ...cut });
  client.on('error', () => undefined); // a lost connection also fails the query that is under way
  try {
    await client.connect();
    return client;
  } catch (error) {
    const reason = reasonOf(error as Error);
    throw new DatabaseUnreachableError(`PostgreSQL at ${client.host}:${client.port} cannot be reached: ${reason}`, {
      cause: error,
    });
  }
}

/** Of a host with several addresses, as localhost often is, what went wrong with each: the error itself says nothing. */
function reasonOf(error: Error): string {
  if (error instanceof AggregateError) return error.errors.map(({ message }: Error) => message).join(', ');
  return error.message === 'timeout expired' ? `no answer within ${connectTimeoutMs / 1_000} s` : error.message;
}

/**
 * Whether what the instance takes for granted holds on this server.
 * @throws {DatabaseUnusableError} saying what does not
 */
export async function assertUsable(client: pg.Client, url: string, signal?: AbortSignal): Promise<void> {
  await assertUnicode(client);
  const other = await connectClient(url, signal);
  try {
    await assertSessions(client, other);
  } finally {
    await other.end();
  }
}

async function assertUnicode(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ name: string; encoding: string }>(
    `SELECT current_database() AS name, current_setting('server_encoding') AS encoding`,
  );
  const [{ name, encoding } = { name: '', encoding: '' }] = rows;
  if (encoding === 'UTF8') return;
  throw new DatabaseUnusableError(
    `The database ${name} is in ${encoding}, which cannot hold every text. Fairway needs one in UTF8: ` +
      `CREATE DATABASE ${name} ENCODING 'UTF8' TEMPLATE template0`,
  );
}

/**
 * A pooler in transaction mode gives out a server connection for each transaction: two of its clients meet on one, and
 * one of them comes to another while that is taken. Prepared statements, settings and locks of a session are lost by it.
 */
async function assertSessions(one: pg.Client, other: pg.Client): Promise<void> {
  const first = await sessionOf(one);
  for (let round = 1; round <= rounds; round += 1) {
    const second = await sessionOf(other);
    if (first === second) throw transactionPooling();
    await other.query('BEGIN');
    await sessionOf(other);
    const again = await sessionOf(one);
    await other.query('COMMIT');
    if (again !== first) throw transactionPooling();
  }
}

async function sessionOf(client: pg.Client): Promise<string> {
  const { rows } = await client.query<{ session: string }>(
    `SELECT pg_backend_pid() || ' ' || pg_postmaster_start_time() AS session`,
  );
  return rows[0]?.session ?? '';
}

const transactionPooling = () =>
  new DatabaseUnusableError(
    'DATABASE_URL leads to a pooler in transaction mode, which loses prepared statements, settings and locks. ' +
      'Connect directly, or have it pool sessions (pool_mode = session)',
  );
