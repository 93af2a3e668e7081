import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { pino } from 'pino';
import { migrate, startEmbeddedServers } from './fairway.mjs';

const migrations = join(import.meta.dirname, '../../prisma/migrations');

/**
 * The PostgreSQL and the nats-server that all measured servers share, with the settings of `npm start`: an acknowledged
 * commit is on disk.
 * @typedef {object} Stack
 * @property {{ url: string, user: string, password: string, pid: number }} nats
 * @property {() => Promise<Database>} createDatabase migrated and empty
 * @property {() => Promise<void>} stop
 */

/**
 * @typedef {object} Database
 * @property {string} url
 * @property {(sql: string, values?: unknown[]) => Promise<any[]>} query
 * @property {() => Promise<void>} drop
 */

/** @returns {Promise<Stack>} */
export async function startStack() {
  const dataDir = mkdtempSync(join(tmpdir(), 'fairway-bench-'));
  chmodSync(dataDir, 0o755); // under root, PostgreSQL runs as another user and has to traverse this folder
  const log = pino({ level: 'warn' });
  const servers = await startEmbeddedServers({ dataDir, log, postgres: true, nats: true });
  process.once('exit', () => {
    servers.killNow();
    rmSync(dataDir, { recursive: true, force: true });
  });
  const { postgres, nats } = servers;
  if (postgres === undefined || nats === undefined) throw new Error('PostgreSQL or nats-server did not start');

  await runOn(postgres.url, 'CREATE DATABASE bench_template');
  await migrate(urlOf(postgres.url, 'bench_template'), migrations, { log });
  let count = 0;
  return {
    nats,
    createDatabase: async () => {
      count += 1;
      const name = `bench_${count}`;
      const url = urlOf(postgres.url, name);
      await runOn(postgres.url, `CREATE DATABASE ${name} TEMPLATE bench_template`);
      // With the key of another database, the entries that it left in the stream would count as lost ones of this database.
      await runOn(url, `UPDATE chat_keys SET key = sha256(uuid_send(gen_random_uuid()))`);
      return {
        url,
        query: (sql, values) => runOn(url, sql, values),
        drop: async () => void (await runOn(postgres.url, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)),
      };
    },
    stop: () => servers.stop(),
  };
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
