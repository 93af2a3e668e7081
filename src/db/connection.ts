import { PrismaPg } from '@prisma/adapter-pg';
import pg from 'pg';
import { ChatError } from '../domain/errors.js';
import { Prisma, PrismaClient } from './generated/prisma/client.js';

/** What runs statements: a pool, or one transaction. */
export interface Queries {
  /**
   * The rows that a statement answers, prepared once a connection. Straight from the driver: Prisma's raw queries cost the
   * server three times as much CPU, most of it for each value.
   * @throws {ChatError} UNAVAILABLE where the database cannot be reached or is too busy
   */
  query<Row>(strings: TemplateStringsArray, ...values: readonly unknown[]): Promise<Row[]>;
}

/** A pool of connections to PostgreSQL, opened as they are needed. */
export interface Connection extends Queries {
  /** Commits what `work` did with its statements, in two more round trips; where it throws, nothing is done. */
  transaction<T>(work: (queries: Queries) => Promise<T>): Promise<T>;
  /** The models, on the same pool. */
  readonly prisma: PrismaClient;
  close(): Promise<void>;
}

const connectTimeoutMs = 5_000;
const statementTimeoutMs = 15_000;

export function createConnection(url: string, max: number, onError: (error: unknown) => void): Connection {
  const pool = new pg.Pool({
    connectionString: url,
    max,
    connectionTimeoutMillis: connectTimeoutMs,
    statement_timeout: statementTimeoutMs,
    // Longer than the server's own limit: only a connection that died without a word is cut by it.
    query_timeout: statementTimeoutMs + connectTimeoutMs,
    keepAlive: true,
    application_name: 'fairway',
  });
  pool.on('error', onError);
  const names = new StatementNames();
  const adapter = new PrismaPg(pool, { onConnectionError: onError });
  const prisma = new PrismaClient({ adapter, log: [] }).$extends({
    query: { $allOperations: ({ args, query }) => query(args).catch(rethrowUnreachable) },
  }) as unknown as PrismaClient;
  return {
    prisma,
    query: (strings, ...values) =>
      onClient(pool, names, (client) => runQuery(client, names, Prisma.sql(strings, ...values))),
    transaction: (work) =>
      onClient(pool, names, async (client) => {
        await client.query('BEGIN');
        const result = await work({
          query: (strings, ...values) => runQuery(client, names, Prisma.sql(strings, ...values)),
        });
        await client.query('COMMIT');
        return result;
      }),
    close: async () => {
      await prisma.$disconnect();
      await pool.end();
    },
  };
}

/**
 * Not `pool.query`: by it a connection keeps, as long as it lives, the rows that it answered first. One on which something
 * failed is closed, and with it what it had begun.
 */
async function onClient<T>(
  pool: pg.Pool,
  names: StatementNames,
  work: (client: pg.PoolClient) => Promise<T>,
): Promise<T> {
  const client = await checkOut(pool).catch(rethrowUnreachable);
  let isSpent = true;
  try {
    const result = await work(client);
    isSpent = names.isOutdated(client);
    return result;
  } catch (error) {
    return rethrowUnreachable(error);
  } finally {
    client.off('error', ignore);
    client.release(isSpent);
  }
}

async function runQuery<Row>(
  client: pg.PoolClient,
  names: StatementNames,
  { text, values }: Prisma.Sql,
): Promise<Row[]> {
  const { rows } = await client.query({ name: names.nameOf(text), text, values });
  return rows as Row[];
}

/** With a listener from the first moment on: what ends a connection between two turns is an error of its query alone. */
const checkOut = (pool: pg.Pool): Promise<pg.PoolClient> =>
  new Promise((resolve, reject) => {
    pool.connect((error, client) => {
      if (client === undefined) {
        reject(error);
        return;
      }
      client.on('error', ignore);
      resolve(client);
    });
  });

const ignore = (): void => undefined;

/** More than are in use at a time. Each takes tens of kilobytes of every connection that ran it. */
const maxPrepared = 300;

/**
 * Names under which statements are prepared. Lists of ids are arrays, never IN (...), so there are few. Where many odd
 * selections have made many, all are named anew, and connections that know the old ones make room for others.
 */
class StatementNames {
  readonly #names = new Map<string, string>();
  readonly #firstOf = new WeakMap<pg.PoolClient, number>();
  #first = 0;

  nameOf(text: string): string {
    const known = this.#names.get(text);
    if (known !== undefined) return known;
    if (this.#names.size === maxPrepared) {
      this.#first += maxPrepared;
      this.#names.clear();
    }
    const name = `fairway_${this.#first + this.#names.size}`;
    this.#names.set(text, name);
    return name;
  }

  /** Whether it has statements whose names are forgotten. */
  isOutdated(client: pg.PoolClient): boolean {
    const first = this.#firstOf.get(client);
    if (first === undefined) this.#firstOf.set(client, this.#first);
    return first !== undefined && first !== this.#first;
  }
}

/** PostgreSQL away, restarting or out of connections: the caller may try again. */
function rethrowUnreachable(error: unknown): never {
  if (isUnreachable(error)) {
    throw new ChatError('UNAVAILABLE', 'The database cannot be reached or is too busy; try again', { cause: error });
  }
  throw error;
}

const unreachableCodes = new Set(['P1001', 'P1002', 'P1008', 'P1017', 'P2024', 'P2028', 'P2037']);
const unreachableKinds = new Set([
  'DatabaseNotReachable',
  'ConnectionClosed',
  'SocketTimeout',
  'TooManyConnections',
  'DatabaseAccessDenied',
]);
/**
 * Connection exceptions (08), too many connections, shutting down, starting up, a terminated backend (57P0x); and what a
 * second try may well survive: a timeout (57014), a lock that was not to be had (55P03), a deadlock (40P01).
 */
const unreachableStates = /^(08...|53300|57P0[1-5]|57014|55P03|40P01)$/;
const unreachableWords =
  /ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|ENOTFOUND|Connection terminated|timeout exceeded when trying to connect|Query read timeout|Client has encountered a connection error|not queryable/;

function isUnreachable(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error instanceof pg.DatabaseError) return unreachableStates.test(error.code ?? '');
  if (error instanceof Prisma.PrismaClientInitializationError) return true;
  if (error instanceof Prisma.PrismaClientKnownRequestError) {
    if (unreachableCodes.has(error.code)) return true;
    const adapterError = error.meta?.driverAdapterError as { cause?: DriverCause } | undefined;
    const cause = adapterError?.cause;
    if (cause !== undefined && unreachableKinds.has(cause.kind ?? '')) return true;
    if (cause?.originalCode !== undefined && unreachableStates.test(cause.originalCode)) return true;
  }
  return unreachableWords.test(error.message);
}

interface DriverCause {
  readonly kind?: string;
  readonly originalCode?: string;
}
