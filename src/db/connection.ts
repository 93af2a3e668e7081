import { setMaxListeners } from 'node:events';
import { Socket } from 'node:net';
import { PrismaPg } from '@prisma/adapter-pg';
import pg from 'pg';
import { every } from '../domain/every.js';
import { isDoubtful, isOldPlan, rethrow, unavailable } from './database-errors.js';
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

/** What runs statements: a pool, or one transaction. */
export interface Queries {
  /**
   * The rows that a statement answers, prepared once a connection. Straight from the driver: Prisma's raw queries cost the
   * server three times as much CPU, most of it for each value.
   * @throws {ChatError} UNAVAILABLE where the database cannot be reached or is too busy; a LockedError where a lock is held
   *   for longer than this pool waits
   */
  query<Row>(strings: TemplateStringsArray, ...values: readonly unknown[]): Promise<Row[]>;
}

/** A pool of connections to PostgreSQL, opened as they are needed. */
export interface Connection extends Queries {
  /** Commits what `work` did with its statements, in two more round trips; where it throws, nothing is done. */
  transaction<T>(work: (queries: Queries) => Promise<T>): Promise<T>;
  /** The models, on the same pool. */
  readonly prisma: PrismaClient;
  /** No connection that is open now is used for another statement: it may lead to a server that was replaced. */
  renew(): void;
  /** For the end: what has waited for an answer for 2 s from here on ends everything, and nothing more is asked. */
  hurry(): void;
  close(): Promise<void>;
}

export interface ConnectionOptions {
  readonly url: string;
  /** Connections at most; each is opened when it is first needed. */
  readonly max: number;
  /** Beyond what all connections have. */
  readonly settings?: SessionSettings;
  /** Told of connections that fail while nobody uses them. */
  readonly onError: (error: unknown) => void;
  /** Told of each new connection before it is used. */
  readonly onSession?: (session: Session) => void;
  /** Of all connections to this database; one that leads to an earlier epoch is not used. */
  readonly newestSession?: () => KnownSession | undefined;
  /** Told of an answer that no server gives which is fit for use. */
  readonly onDoubt: (error: unknown) => void;
}

const connectTimeoutMs = 5_000;
const keepAliveMs = 10_000;
const patienceMs = 2_000;
const hurryPollMs = 100;

export function createConnection({
  url,
  max,
  settings = {},
  onError,
  onSession,
  newestSession,
  onDoubt,
}: ConnectionOptions): Connection {
  const end = new AbortController();
  // One for each connection, which the pool bounds.
  setMaxListeners(0, end.signal);
  const pool = new pg.Pool({
    stream: () => new Socket({ signal: end.signal }),
    connectionString: url,
    max,
    connectionTimeoutMillis: connectTimeoutMs,
    query_timeout: queryTimeoutMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: keepAliveMs,
    application_name: applicationName,
    onConnect: async (client) => {
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
    renew: () => sessions.renew(),
    hurry: () => sessions.hurry(),
    close: async () => {
      await prisma.$disconnect();
      await pool.end();
    },
  };
}

type Run = <Row>(sql: Prisma.Sql) => Promise<Row[]>;

/** The connections of a pool, by when they were opened. */
class Sessions {
  readonly #pool: pg.Pool;
  readonly #names = new StatementNames();
  readonly #generations = new WeakMap<pg.PoolClient, number>();
  readonly #end: AbortController;
  /** When the pool's users began to wait, the first first. */
  readonly #waiting = new Set<{ readonly since: number }>();
  #generation = 0;

  /** @param end - cuts the sockets */
  constructor(pool: pg.Pool, end: AbortController) {
    this.#pool = pool;
    this.#end = end;
    pool.on('connect', (client) => this.#generations.set(client, this.#generation));
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
   * Not `pool.query`: by it a connection keeps, as long as it lives, the rows that it answered first. A connection on which
   * a transaction failed is closed, and with it what it had begun.
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
    return rows as Row[];
  }

  async #checkOut(): Promise<pg.PoolClient> {
    for (;;) {
      const client = await checkOut(this.#pool);
      if (this.#generations.get(client) === this.#generation) return client;
      client.off('error', ignore);
      client.release(true);
    }
  }
}

/** What went wrong is the statement's affair, and the connection as good as before. */
const isOfStatement = (error: unknown): boolean =>
  error instanceof pg.DatabaseError && error.severity === 'ERROR' && !isDoubtful(error) && !isOldPlan(error);

/** With a listener from the first moment on: what ends a connection between two turns is an error of its query alone. */
const checkOut = (pool: pg.Pool): Promise<pg.PoolClient> =>
  new Promise((resolve, reject) => {
    pool.connect((error, client) => {
      if (client === undefined) {
        // Whatever it says: no statement of ours is to blame for it.
        reject(unavailable(error));
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
