import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import pg from 'pg';
import { pino } from 'pino';
import type { TestProject } from 'vitest/node';
import { findChromium } from '../../scripts/chromium.mjs';
import { migrate } from '../../src/db/migrate.js';
import { findNatsServer, installNatsServer } from '../../src/dev/embedded/nats-binary.js';
import { startPostgres } from '../../src/dev/embedded/postgres.js';
import { makeOpenFolder } from '../../src/dev/embedded/unprivileged.js';
import { findPgbouncer } from './pooler.js';
import { whyNoS3 } from './s3.js';

declare module 'vitest' {
  interface ProvidedContext {
    /** The URL of the server's default database, for creating others. */
    postgresUrl: string;
    /** Why tests that need nats-server are skipped; empty if they are not. */
    natsMissing: string;
    /** Why tests that need a browser are skipped; empty if they are not. */
    chromiumMissing: string;
    /** Why tests that need a pooler are skipped; empty if they are not. */
    poolerMissing: string;
    /** Why tests that need S3 are skipped; empty if they are not. */
    s3Missing: string;
  }
}

/** The migrated database of which every test database is a copy. */
const templateName = 'fairway_template';

/** Starts one PostgreSQL for the run. Its data are deleted afterwards, so it need not wait for the disk. */
export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  const folder = mkdtempSync(join(tmpdir(), 'fairway-test-'));
  rmSync(folder, { recursive: true });
  makeOpenFolder(folder);
  const postgres = await startPostgres({
    dataDir: folder,
    log: pino({ level: 'warn' }),
    settings: { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_connections: '300' },
  });
  await createTemplate(postgres.url);

  project.provide('postgresUrl', postgres.url);
  project.provide('natsMissing', await whyNoNats());
  project.provide('chromiumMissing', findChromium() === undefined ? 'Chromium is not on this machine' : '');

  project.provide('poolerMissing', findPgbouncer() === undefined ? 'PgBouncer is not on this machine' : '');
  project.provide('s3Missing', whyNoS3());

  return async () => {
    await postgres.stop();
    rmSync(folder, { recursive: true, force: true });
  };
}

async function createTemplate(postgresUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: postgresUrl });
  await client.connect();
  await client.query(`CREATE DATABASE ${templateName}`);
  await client.end();
  const url = new URL(postgresUrl);
  url.pathname = `/${templateName}`;
  await migrate(url.href, resolve(import.meta.dirname, '../../prisma/migrations'));
}

async function whyNoNats(): Promise<string> {
  if (findNatsServer() !== undefined) return '';
  try {
    await installNatsServer();
    return '';
  } catch (error) {
    return (error as Error).message.split('\n')[0] ?? 'nats-server is not on this machine';
  }
}
