import { execFile } from 'node:child_process';
import dns, { type LookupAddress } from 'node:dns';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { MigrationError, migrate, readMigrations } from '../../src/db/migrate.js';
import { diffMigrations } from '../../src/db/schema-engine.js';
import { createDatabase, type TestDatabase } from '../support/database.js';

const prismaDir = resolve(import.meta.dirname, '../../prisma');
const migrationsDir = join(prismaDir, 'migrations');
const names = readMigrations(migrationsDir).map(({ name }) => name);

describe('migrate', () => {
  let database: TestDatabase;
  let ownDir: string;

  beforeEach(async () => {
    database = await createDatabase({ migrated: false });
    ownDir = mkdtempSync(join(tmpdir(), 'fairway-migrations-'));
    cpSync(migrationsDir, ownDir, { recursive: true });
  });
  afterEach(async () => {
    await database.drop();
    rmSync(ownDir, { recursive: true });
  });

  it('applies every migration once when eight processes start at the same moment', async () => {
    const applied = await Promise.all(Array.from({ length: 8 }, () => migrate(database.url, migrationsDir)));

    expect(applied.flat()).toEqual(names);
    expect(await readRecords()).toEqual(
      names.map((migration_name) => ({ migration_name, finished: true, rolled_back: false })),
    );
  });

  it('does nothing the second time', async () => {
    await migrate(database.url, migrationsDir);

    expect(await migrate(database.url, migrationsDir)).toEqual([]);
  });

  it('applies only what is new', async () => {
    await migrate(database.url, ownDir);
    addMigration('20990101000000_more', 'CREATE TABLE more (id int); CREATE INDEX ON more (id);');

    expect(await migrate(database.url, ownDir)).toEqual(['20990101000000_more']);
  });

  it('names the migration that fails, leaves nothing of it, and applies it when it is put right', async () => {
    addMigration('20990101000000_more', 'CREATE TABLE more (id int); SELECT 1 / 0;');
    const failure = await migrate(database.url, ownDir).catch((error: unknown) => error);

    expect(failure).toBeInstanceOf(MigrationError);
    expect((failure as Error).message).toContain('20990101000000_more');
    expect((failure as Error).message).toContain('division by zero');
    expect(await query(`SELECT to_regclass('more') AS found`)).toEqual([{ found: null }]);

    addMigration('20990101000000_more', 'CREATE TABLE more (id int);');
    expect(await migrate(database.url, ownDir)).toEqual(['20990101000000_more']);
  });

  it('goes on after a process that was killed in the middle of a migration', async () => {
    await migrate(database.url, ownDir);
    addMigration('20990101000000_more', 'CREATE TABLE more (id int);');
    await query(
      `INSERT INTO _prisma_migrations (id, checksum, migration_name, started_at, applied_steps_count)
       VALUES ('killed', 'of no matter', '20990101000000_more', now(), 0)`,
    );

    expect(await migrate(database.url, ownDir)).toEqual(['20990101000000_more']);
  });

  it.each(['demo', 'restored'])('is asked for by npm run %s', async (command) => {
    const env = { PATH: process.env['PATH'], DATABASE_URL: database.url };
    const failed = promisify(execFile)(process.execPath, [resolve(`dist/commands/${command}.js`)], { env });

    await expect(failed).rejects.toMatchObject({
      code: 1,
      stderr: 'This database is not migrated yet. First: npm run migrate\n',
    });
  });

  it('says that the database cannot be reached', async () => {
    await expect(migrate('postgresql://nobody:x@127.0.0.1:1/none', migrationsDir)).rejects.toThrow(/ECONNREFUSED/);
  });

  it('says why it cannot be reached at any of several addresses, as localhost often has them', async () => {
    const addresses = ['::1', '127.0.0.1'].map((address) => ({ address, family: isIP(address) }));
    const lookup = (_name: string, _options: unknown, tell: (error: null, found: LookupAddress[]) => void) =>
      tell(null, addresses);
    vi.spyOn(dns, 'lookup').mockImplementation(lookup as never);
    onTestFinished(() => void vi.restoreAllMocks());

    const failed = migrate('postgresql://nobody:x@localhost:1/none', migrationsDir);

    await expect(failed).rejects.toThrow(/ECONNREFUSED ::1:1, .*ECONNREFUSED 127\.0\.0\.1:1/);
  });

  it('leads to what schema.prisma describes', async () => {
    const schema = readFileSync(join(prismaDir, 'schema.prisma'), 'utf8');

    const diff = await diffMigrations(database.url, migrationsDir, readMigrations(migrationsDir), schema);

    expect(diff.trim()).toMatch(/^(-- This is an empty migration\.)?$/);
  });

  function addMigration(name: string, sql: string): void {
    mkdirSync(join(ownDir, name), { recursive: true });
    writeFileSync(join(ownDir, name, 'migration.sql'), sql);
  }

  const readRecords = () =>
    query(
      `SELECT migration_name, finished_at IS NOT NULL AS finished, rolled_back_at IS NOT NULL AS rolled_back
       FROM _prisma_migrations ORDER BY started_at`,
    );

  async function query(sql: string): Promise<unknown[]> {
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    try {
      return (await client.query(sql)).rows;
    } finally {
      await client.end();
    }
  }
});
