import pg from 'pg';
import { createAbortableSocket } from './abortable-socket.js';

/** The server can be reached but not used; the message says what to do. */
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
 * Connects within 5 s. The caller closes the connection.
 * @param signal - closes the connection, even during a query
 * @throws {DatabaseUnreachableError}
 */
export async function connectClient(url: string, signal?: AbortSignal): Promise<pg.Client> {
  const cut = signal === undefined ? {} : { stream: () => createAbortableSocket(signal) };
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: connectTimeoutMs, ...cut });
  client.on('error', () => undefined); // a lost connection also fails the running query
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

/** For a host with several addresses, such as localhost, the reasons of all addresses: the error itself has no message. */
function reasonOf(error: Error): string {
  if (error instanceof AggregateError) return error.errors.map(({ message }: Error) => message).join(', ');
  return error.message === 'timeout expired' ? `no answer within ${connectTimeoutMs / 1_000} s` : error.message;
}

/**
 * Checks the requirements of an instance on this server.
 * @throws {DatabaseUnusableError} with the requirement that is not met
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
 * Detects a pooler in transaction mode, which assigns a server connection per transaction: two clients get the same one, and
 * one of them gets another while it is in use. Prepared statements, settings and locks of a session do not survive that.
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
