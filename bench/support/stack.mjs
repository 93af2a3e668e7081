import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { pino } from 'pino';
import { migrate, startEmbeddedServers, startNatsServer } from './fairway.mjs';

const migrations = join(import.meta.dirname, '../../prisma/migrations');

/**
 * The PostgreSQL and the nats-server that all measured servers share, with the settings of `npm start`: an acknowledged
 * commit is on disk.
 * @typedef {object} Stack
 * @property {Nats} nats
 * @property {{ pid: number }} postgres
 * @property {() => Promise<Nats & { stop: () => Promise<void> }>} startNats another nats-server, empty
 * @property {(options?: DatabaseOptions) => Promise<Database>} createDatabase empty; with Fairway's tables unless `isBare`
 * @property {() => Promise<void>} stop
 */

/** @typedef {{ url: string, user: string, password: string, pid: number }} Nats */
/** @typedef {{ isBare?: boolean, countsStatements?: boolean }} DatabaseOptions */

/**
 * @typedef {object} Database
 * @property {string} url
 * @property {(sql: string, values?: unknown[]) => Promise<any[]>} query
 * @property {() => Promise<void>} drop
 * @property {() => Promise<void>} countStatements begins to count
 * @property {() => Promise<StatementCount[] | undefined>} readStatements those since then, without the bench's own: the most frequent
 *   first; undefined if this PostgreSQL has no pg_stat_statements
 */

/** @typedef {{ text: string, calls: number }} StatementCount */

/** The bench's own statements contain this word, to be told from those of the servers. */
export const ownMark = 'day_check';

const statementsOf = `SELECT s.query AS text, s.calls::int AS calls
  FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
  WHERE d.datname = $1 AND s.query NOT LIKE $2 ORDER BY s.calls DESC`;

/** @returns {Promise<Stack>} */
export async function startStack() {
  const dataDir = mkdtempSync(join(tmpdir(), 'fairway-bench-'));
  chmodSync(dataDir, 0o755); // under root, PostgreSQL runs as another user and has to traverse this folder
  const log = pino({ level: 'warn' });
  const { servers, postgres, nats, canCount } = await startServers(dataDir, log);
  process.once('exit', () => {
    servers.killNow();
    rmSync(dataDir, { recursive: true, force: true });
  });

  await runOn(postgres.url, 'CREATE DATABASE bench_template');
  await migrate(urlOf(postgres.url, 'bench_template'), migrations, { log });
  let count = 0;
  return {
    nats,
    postgres,
    startNats: () => {
      count += 1;
      return startNatsServer({ dataDir: join(dataDir, `nats-${count}`), log });
    },
    createDatabase: async ({ isBare = false, countsStatements = false } = {}) => {
      count += 1;
      const name = `bench_${count}`;
      const url = urlOf(postgres.url, name);
      await runOn(postgres.url, `CREATE DATABASE ${name} TEMPLATE ${isBare ? 'template1' : 'bench_template'}`);
      // With the key of another database, the entries that it left in the stream would count as lost ones of this database.
      if (!isBare) await runOn(url, `UPDATE chat_keys SET key = sha256(uuid_send(gen_random_uuid()))`);
      const counts = countsStatements && canCount;
      if (counts) await runOn(postgres.url, `ALTER DATABASE ${name} SET pg_stat_statements.track = 'top'`);
      return {
        url,
        query: (sql, values) => runOn(url, sql, values),
        drop: async () => void (await runOn(postgres.url, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)),
        countStatements: async () => void (counts && (await runOn(postgres.url, 'SELECT pg_stat_statements_reset()'))),
        readStatements: async () => (counts ? runOn(postgres.url, statementsOf, [name, `%${ownMark}%`]) : undefined),
      };
    },
    stop: () => servers.stop(),
  };
}

/**
 * Starts the servers. If this PostgreSQL can count statements, it is started twice, because the library for that is loaded at
 * start; it counts only in databases that ask for it, so it costs the other benches nothing.
 * @param {string} dataDir
 * @param {import('pino').Logger} log
 */
async function startServers(dataDir, log) {
  const start = async () => {
    const servers = await startEmbeddedServers({ dataDir, log, postgres: true, nats: true });
    const { postgres, nats } = servers;
    if (postgres === undefined || nats === undefined) throw new Error('PostgreSQL or nats-server did not start');
    return { servers, postgres, nats };
  };
  const first = await start();
  const available = await runOn(
    first.postgres.url,
    `SELECT FROM pg_available_extensions WHERE name = 'pg_stat_statements'`,
  );
  if (available.length === 0) return { ...first, canCount: false };
  await runOn(first.postgres.url, `ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'`);
  await first.servers.stop();
  const second = await start();
  await runOn(second.postgres.url, 'CREATE EXTENSION pg_stat_statements');
  await runOn(second.postgres.url, `ALTER SYSTEM SET pg_stat_statements.track = 'none'`);
  await runOn(second.postgres.url, 'SELECT pg_reload_conf()');
  return { ...second, canCount: true };
}

/** @param {string} url @param {string} database */
function urlOf(url, database) {
  const other = new URL(url);
  other.pathname = `/${database}`;
  return other.href;
}

/** @param {string} url @param {string} sql @param {unknown[]} [values] */
async function runOn(url, sql, values) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query(sql, values);
    return rows;
  } finally {
    await client.end();
  }
}
