import { setMaxListeners } from 'node:events';
import type { Socket } from 'node:net';
import { PrismaPg } from '@prisma/adapter-pg';
import pg from 'pg';
import { every } from '../domain/every.js';
import { createAbortableSocket } from './abortable-socket.js';
import { isDoubtful, isOldPlan, isTimeout, rethrow, unavailable } from './database-errors.js';
import { Prisma, PrismaClient } from './generated/prisma/client.js';
import {
  applicationName,
  EarlierEpochError,
  type KnownSession,
  prepareSession,
  queryTimeoutMs,
  type Session,
  type SessionSettings,
} from './session.js';

/** Runs statements, on a pool or in one transaction. */
export interface Queries {
  /**
   * Returns the rows of a statement, which each connection prepares once. Uses the driver directly: Prisma's raw queries need
   * three times as much CPU, most of it per value.
   * @throws {ChatError} UNAVAILABLE if the database cannot be reached or is too busy; a LockedError if a lock is held for
   *   longer than this pool waits
   */
  query<Row>(strings: TemplateStringsArray, ...values: readonly unknown[]): Promise<Row[]>;
}

/** A pool of connections to PostgreSQL, opened as they are needed. */
export interface Connection extends Queries {
  /** Runs `work` in a transaction, which takes two more round trips. Rolls back if it throws. */
  transaction<T>(work: (queries: Queries) => Promise<T>): Promise<T>;
  /** The models, on the same pool. */
  readonly prisma: PrismaClient;
  /** Opens the connections that stay open. Waits for all, and ignores errors: the first query has them again. */
  warmUp(): Promise<void>;
  /** Replaces all open connections before their next statement: they may lead to a server that was replaced. */
  renew(): void;
  /** For the stop: once a query has waited for 2 s from now on, closes all connections, and refuses further queries. */
  hurry(): void;
  close(): Promise<void>;
}

export interface ConnectionOptions {
  readonly url: string;
  /** The maximum number of connections; each is opened when it is needed. */
  readonly max: number;
  /** So many stay open for good, once they have been. */
  readonly min: number;
  /** In addition to the settings of all connections. */
  readonly settings?: SessionSettings;
  /** Called when an idle connection fails. */
  readonly onError: (error: unknown) => void;
  /** Called for each new connection before it is used. */
  readonly onSession?: (session: Session) => void;
  /** The newest session of all pools; a connection in an earlier epoch is not used. */
  readonly newestSession?: () => KnownSession | undefined;
  /** Called with an error that suggests that the server must not be used any more. */
  readonly onDoubt: (error: unknown) => void;
}

/** Bytes from the database in one turn of the event loop; more stay in the buffers of the system until the next one. */
const bytesAtOnce = 131_072;
const connectTimeoutMs = 5_000;
const keepAliveMs = 10_000;
const patienceMs = 2_000;
const hurryPollMs = 100;

export function createConnection({
  url,
  max,
  min,
  settings = {},
  onError,
  onSession,
  newestSession,
  onDoubt,
}: ConnectionOptions): Connection {
  const end = new AbortController();
  // One listener per open connection; the pool limits their number.
  setMaxListeners(0, end.signal);
  const pool = new pg.Pool({
    stream: () => createAbortableSocket(end.signal),
    connectionString: url,
    max,
    min,
    connectionTimeoutMillis: connectTimeoutMs,
    query_timeout: queryTimeoutMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: keepAliveMs,
    application_name: applicationName,
    onConnect: async (client) => {
      readInTurns(client);
      try {
        const session = await prepareSession(client, settings, newestSession?.());
        onSession?.(session);
      } catch (error) {
        if (error instanceof EarlierEpochError) onDoubt(error);
        throw error;
      }
    },
  });
  pool.on('error', onError);
  const refuse = (error: unknown): never => {
    if (isDoubtful(error)) onDoubt(error);
    return rethrow(error);
  };
  const sessions = new Sessions(pool, end);
  const adapter = new PrismaPg(pool, { onConnectionError: onError });
  const prisma = new PrismaClient({ adapter, log: [] }).$extends({
    query: { $allOperations: ({ args, query }) => query(args).catch(refuse) },
  }) as unknown as PrismaClient;
  return {
    prisma,
    query: <Row>(strings: TemplateStringsArray, ...values: readonly unknown[]) =>
      sessions.use((run) => run<Row>(Prisma.sql(strings, ...values)), { isTransaction: false }).catch(refuse),
    transaction: (work) =>
      sessions
        .use(
          async (run) => {
            await run(Prisma.sql`BEGIN`);
            const result = await work({ query: (strings, ...values) => run(Prisma.sql(strings, ...values)) });
            await run(Prisma.sql`COMMIT`);
            return result;
          },
          { isTransaction: true },
        )
        .catch(refuse),
    warmUp: () => sessions.warmUp(min),
    renew: () => sessions.renew(),
    hurry: () => sessions.hurry(),
    close: async () => {
      await prisma.$disconnect();
      await pool.end();
    },
  };
}

/** Reads a large result over several turns of the event loop, so that what others do goes on in between. */
function readInTurns(client: pg.ClientBase): void {
  // pg has no other access to its socket, which is another one than `Socket` over TLS.
  const { stream } = (client as pg.ClientBase & { readonly connection: { readonly stream: Socket } }).connection;
  let bytes = 0;
  stream.on('data', ({ length }: Buffer) => {
    bytes += length;
    if (bytes < bytesAtOnce) return;
    bytes = 0;
    stream.pause();
    setImmediate(() => stream.resume());
  });
}

type Run = <Row>(sql: Prisma.Sql) => Promise<Row[]>;

/** The connections of a pool, with the generation in which they were opened. */
class Sessions {
  readonly #pool: pg.Pool;
  readonly #names = new StatementNames();
  readonly #generations = new WeakMap<pg.PoolClient, number>();
  readonly #end: AbortController;
  /** The waiting users of the pool, in the order in which they began to wait. */
  readonly #waiting = new Set<{ readonly since: number }>();
  #generation = 0;
  /** When a query last succeeded. */
  #answeredAt = Number.NEGATIVE_INFINITY;

  /** @param end - closes the sockets when aborted */
  constructor(pool: pg.Pool, end: AbortController) {
    this.#pool = pool;
    this.#end = end;
    pool.on('connect', (client) => this.#generations.set(client, this.#generation));
  }

  async warmUp(count: number): Promise<void> {
    await Promise.allSettled(
      Array.from({ length: count }, () => this.use((run) => run(Prisma.sql`SELECT 1`), { isTransaction: false })),
    );
  }

  renew(): void {
    this.#generation += 1;
  }

  hurry(): void {
    const hurriedAt = performance.now();
    const watching = every(hurryPollMs, () => {
      const [first] = this.#waiting;
      if (first === undefined || performance.now() - Math.max(first.since, hurriedAt) < patienceMs) return;
      void watching.stop();
      this.#end.abort();
    });
  }

  /**
   * Does not use `pool.query`, with which a connection keeps the rows of its first query in memory for its whole life. Closes
   * the connection of a failed transaction, which rolls it back.
   */
  async use<T>(work: (run: Run) => Promise<T>, { isTransaction }: { isTransaction: boolean }): Promise<T> {
    if (this.#end.signal.aborted)
      throw unavailable(new Error('The server did not answer while this instance was ending'));
    const turn = { since: performance.now() };
    this.#waiting.add(turn);
    try {
      return await this.#useClient(work, isTransaction);
    } finally {
      this.#waiting.delete(turn);
    }
  }

  async #useClient<T>(work: (run: Run) => Promise<T>, isTransaction: boolean): Promise<T> {
    const client = await this.#checkOut();
    let isSpent = true;
    try {
      const result = await work((sql) => this.#run(client, sql));
      isSpent = this.#names.isOutdated(client);
      return result;
    } catch (error) {
      isSpent = isTransaction || !isOfStatement(error);
      throw error;
    } finally {
      client.off('error', ignore);
      client.release(isSpent);
    }
  }

  async #run<Row>(client: pg.PoolClient, { text, values }: Prisma.Sql): Promise<Row[]> {
    const { rows } = await client.query({ name: this.#names.nameOf(text), text, values });
    this.#answeredAt = performance.now();
    return rows as Row[];
  }

  /**
   * The pool lets each user wait for the connection that is opened for it, even if another one becomes free meanwhile, and an
   * overloaded process may need longer to open one than the pool waits. So it is tried again if the server has answered others.
   */
  async #checkOut(): Promise<pg.PoolClient> {
    const since = performance.now();
    for (;;) {
      try {
        const client = await checkOut(this.#pool);
        if (this.#generations.get(client) === this.#generation) return client;
        client.off('error', ignore);
        client.release(true);
      } catch (error) {
        const isAnswering = this.#answeredAt > since && performance.now() - since < queryTimeoutMs;
        // Always UNAVAILABLE: no statement has caused the error.
        if (!isAnswering || !isTimeout(error)) throw unavailable(error);
      }
    }
  }
}

/** Whether only the statement failed, and the connection can be used again. */
const isOfStatement = (error: unknown): boolean =>
  error instanceof pg.DatabaseError && error.severity === 'ERROR' && !isDoubtful(error) && !isOldPlan(error);

/** Adds an error listener at once, so that a connection that breaks fails only its query and not the process. */
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

/** More than are in use at the same time. Each takes tens of kilobytes on every connection that has run it. */
const maxPrepared = 300;

/**
 * The names of prepared statements. Lists of ids are arrays, never IN (...), so there are few statements. If unusual
 * selections have created too many, all get new names, and connections with old names are replaced.
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

  /** Whether the connection has statements with old names. */
  isOutdated(client: pg.PoolClient): boolean {
    const first = this.#firstOf.get(client);
    if (first === undefined) this.#firstOf.set(client, this.#first);
    return first !== undefined && first !== this.#first;
  }
}
