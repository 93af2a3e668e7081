import { PrismaPg } from '@prisma/adapter-pg';
import pLimit from 'p-limit';
import { ChatError } from '../domain/errors.js';
import { Prisma, PrismaClient } from './generated/prisma/client.js';

/** PostgreSQL through Prisma. Owned by who connected it. */
export interface Database {
  /** For what changes something, and for the few small reads on which live delivery hangs. */
  readonly writes: PrismaClient;
  /** For what somebody looks at: however much that is, sends have connections of their own. */
  readonly reads: PrismaClient;
  /**
   * Runs a query of a replay or of a subscription's start, as many at a time as this pool has connections: a storm of
   * reconnects waits for its turn and starves neither sends nor reads.
   */
  replay<T>(query: (prisma: PrismaClient) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export interface DatabaseOptions {
  readonly url: string;
  /** Connections at most; each is opened when it is first needed. */
  readonly poolSize?: number;
  readonly readPoolSize?: number;
  readonly replayPoolSize?: number;
  /** Told of connections that fail while nobody uses them; of none after `close`. */
  readonly onError?: (error: unknown) => void;
}

const connectTimeoutMs = 5_000;
const statementTimeoutMs = 15_000;

/** Connects lazily: the first query opens the first connection. */
export function connectDatabase({
  url,
  poolSize = 10,
  readPoolSize = 10,
  replayPoolSize = 4,
  onError = () => undefined,
}: DatabaseOptions): Database {
  let closed = false;
  // The pool's own end does not wait for its idle connections: what cuts them off afterwards is no failure.
  const report = (error: unknown) => {
    if (!closed) onError(error);
  };
  const writes = createClient(url, poolSize, report);
  const reads = createClient(url, readPoolSize, report);
  const replay = createClient(url, replayPoolSize, report);
  const limitReplay = pLimit(replayPoolSize);
  return {
    writes,
    reads,
    replay: (query) => limitReplay(() => query(replay)),
    close: async () => {
      closed = true;
      await Promise.all([writes, reads, replay].map((client) => client.$disconnect()));
    },
  };
}

function createClient(url: string, max: number, onError: (error: unknown) => void): PrismaClient {
  const adapter = new PrismaPg(
    {
      connectionString: url,
      max,
      connectionTimeoutMillis: connectTimeoutMs,
      statement_timeout: statementTimeoutMs,
      // Longer than the server's own limit: only a connection that died without a word is cut by it.
      query_timeout: statementTimeoutMs + connectTimeoutMs,
      keepAlive: true,
      application_name: 'fairway',
    },
    { onPoolError: onError, onConnectionError: onError, statementNameGenerator: createStatementNames() },
  );
  const client = new PrismaClient({ adapter, log: [] });
  return client.$extends({
    query: { $allOperations: ({ args, query }) => query(args).catch(rethrowUnreachable) },
  }) as unknown as PrismaClient;
}

/** Each statement of this program is prepared once a connection. They are few: lists of ids are arrays, never IN (...). */
function createStatementNames() {
  const names = new Map<string, string>();
  return ({ sql }: { sql: string }): string => {
    const name = names.get(sql) ?? `fairway_${names.size}`;
    names.set(sql, name);
    return name;
  };
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
