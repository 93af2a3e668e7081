import { execFile } from 'node:child_process';
import dns, { type LookupAddress } from 'node:dns';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { MigrationError, migrate, readMigrations } from '../../src/db/migrate.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { deploy, diagnose } from '../support/prisma-migrate.js';
import { waitFor } from '../support/wait-for.js';

const migrationsDir = resolve(import.meta.dirname, '../../prisma/migrations');
const names = readMigrations(migrationsDir).map(({ name }) => name);
const upToDate = { history: null, failedMigrationNames: [], editedMigrationNames: [], hasMigrationsTable: true };
const more = '20990101000000_more';

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
    expect(await readRecords()).toMatchObject(
      names.map((migration_name) => ({ migration_name, finished: true, rolled_back: false })),
    );
  });

  it('does nothing the second time', async () => {
    await migrate(database.url, migrationsDir);

    expect(await migrate(database.url, migrationsDir)).toEqual([]);
  });

  it('fills in the last change of messages that were changed before', async () => {
    for (const name of names.filter((each) => each >= '20261129174719'))
      rmSync(join(ownDir, name), { recursive: true });
    await migrate(database.url, ownDir);
    const [edited, deleted] = ['2026-11-01T01:02:03.004Z', '2026-11-02T01:02:03.004Z'];
    await database.query('INSERT INTO chat_users (id) VALUES (4)');
    await database.query("INSERT INTO chat_rooms (id, type, seq) VALUES (gen_random_uuid(), 'GROUP', 6)");
    await database.query(
      `INSERT INTO chat_messages (id, room_id, seq, changed_seq, sender_id, sender_name, edited_at, deleted_at)
       SELECT gen_random_uuid(), r.id, m.seq, m.changed_seq, 4, '#4', m.edited_at, m.deleted_at
       FROM chat_rooms r, (VALUES
         (1, 1, NULL, NULL), (2, 4, $1::timestamptz, NULL), (3, 6, $1, $2::timestamptz)
       ) AS m(seq, changed_seq, edited_at, deleted_at)`,
      [edited, deleted],
    );

    await migrate(database.url, migrationsDir);

    expect(await database.query('SELECT seq, change, changed_at FROM chat_messages ORDER BY seq')).toEqual([
      { seq: 1, change: null, changed_at: null },
      { seq: 2, change: 'EDITED', changed_at: new Date(edited) },
      { seq: 3, change: 'DELETED', changed_at: new Date(deleted) },
    ]);
  });

  it('leaves rooms with unpublished entries to the sweep, and no others', async () => {
    for (const name of names.filter((each) => each >= '20261130025510'))
      rmSync(join(ownDir, name), { recursive: true });
    await migrate(database.url, ownDir);
    await database.query(
      `INSERT INTO chat_rooms (id, type, seq, published_seq, updated_at)
       SELECT gen_random_uuid(), 'GROUP', r.seq, r.mark, '2026-11-29T12:34:56.789Z' FROM (VALUES (3, 3), (3, 2)) AS r(seq, mark)`,
    );

    await migrate(database.url, migrationsDir);

    expect(
      await database.query('SELECT published_seq, is_settled, listed_at FROM chat_rooms ORDER BY published_seq'),
    ).toEqual([
      { published_seq: 2, is_settled: false, listed_at: new Date('2026-11-29T12:34:00Z') },
      { published_seq: 3, is_settled: true, listed_at: new Date('2026-11-29T12:34:00Z') },
    ]);
  });

  it('applies only what is new', async () => {
    await migrate(database.url, ownDir);
    addMigration(more, 'CREATE TABLE more (id int); CREATE INDEX ON more (id);');

    expect(await migrate(database.url, ownDir)).toEqual([more]);
  });

  it('does not change a database that is newer than the folder', async () => {
    addMigration(more, 'CREATE TABLE more (id int);');
    await migrate(database.url, ownDir);
    const records = await readRecords();

    expect(await migrate(database.url, migrationsDir)).toEqual([]);
    expect(await readRecords()).toEqual(records);
  });

  it('names a migration that fails, leaves nothing of it, and applies it once it is corrected', async () => {
    addMigration(more, 'CREATE TABLE more (id int); SELECT 1 / 0;');
    addMigration('20990102000000_later', 'CREATE TABLE later (id int);');
    const failure = await migrate(database.url, ownDir).catch((error: unknown) => error);

    expect(failure).toBeInstanceOf(MigrationError);
    expect((failure as Error).message).toContain(more);
    expect((failure as Error).message).toContain('division by zero');
    expect(await database.query(`SELECT to_regclass('more') AS found`)).toEqual([{ found: null }]);
    expect((await readRecords()).at(-1)).toMatchObject({
      migration_name: more,
      finished: false,
      logs: 'division by zero',
    });

    addMigration(more, 'CREATE TABLE more (id int);');
    expect(await migrate(database.url, ownDir)).toEqual([more, '20990102000000_later']);
  });

  it('says where in the file it failed', async () => {
    addMigration(more, 'CREATE TABLE more (id int);\nCREATE TABLE more (id intt);\n');

    await expect(migrate(database.url, ownDir)).rejects.toThrow(`${more}: type "intt" does not exist (line 2)`);
  });

  it('goes on after a process that was killed in the middle of a migration', async () => {
    await migrate(database.url, ownDir);
    addMigration(more, 'CREATE TABLE more (id int);');
    await database.query(
      `INSERT INTO _prisma_migrations (id, checksum, migration_name, started_at, applied_steps_count)
       VALUES ('killed', 'of no matter', '${more}', now(), 0)`,
    );

    expect(await migrate(database.url, ownDir)).toEqual([more]);
  });

  it('leaves nothing of a migration that is interrupted, and applies it at the next start', async () => {
    await migrate(database.url, ownDir);
    await database.query('CREATE TABLE gate ()');
    addMigration(more, 'CREATE TABLE more (id int); LOCK TABLE gate;');
    const interruption = new AbortController();
    const gate = await connect();
    await gate.query('BEGIN; LOCK TABLE gate');
    const interrupted = migrate(database.url, ownDir, { signal: interruption.signal });
    await waitForLock(`relation = 'gate'::regclass`);
    interruption.abort();
    await expect(interrupted).rejects.toBeInstanceOf(MigrationError);

    const next = migrate(database.url, ownDir);
    await waitForLock(`locktype = 'advisory'`);
    await gate.end();

    expect(await next).toEqual([more]);
    expect((await readRecords()).filter(({ migration_name }) => migration_name === more)).toHaveLength(1);
  });

  it('refuses a database with tables but without a record of migrations', async () => {
    await database.query('CREATE TABLE theirs (id int)');

    await expect(migrate(database.url, migrationsDir)).rejects.toThrow(
      /tables \(theirs\), but no record of migrations/,
    );
    expect(await database.query(`SELECT to_regclass('_prisma_migrations') AS found`)).toEqual([{ found: null }]);
  });

  it('ignores the tables of an extension', async () => {
    await database.query('CREATE TABLE spatial_ref_sys (id int); ALTER EXTENSION plpgsql ADD TABLE spatial_ref_sys');

    expect(await migrate(database.url, migrationsDir)).toEqual(names);
  });

  it.each(['demo', 'restored'])('is required before npm run %s', async (command) => {
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

  it('says for each of several addresses why it cannot be reached, as for localhost', async () => {
    const addresses = ['::1', '127.0.0.1'].map((address) => ({ address, family: isIP(address) }));
    const lookup = (_name: string, _options: unknown, tell: (error: null, found: LookupAddress[]) => void) =>
      tell(null, addresses);
    vi.spyOn(dns, 'lookup').mockImplementation(lookup as never);
    onTestFinished(() => void vi.restoreAllMocks());

    const failed = migrate('postgresql://nobody:x@localhost:1/none', migrationsDir);

    await expect(failed).rejects.toThrow(/ECONNREFUSED ::1:1, .*ECONNREFUSED 127\.0\.0\.1:1/);
  });

  describe("beside Prisma's own engine", () => {
    it('leaves the same records', async () => {
      const theirs = await createDatabase({ migrated: false });
      await deploy(theirs.url, migrationsDir);

      await migrate(database.url, migrationsDir);

      expect(await readRecords()).toEqual(await readRecords(theirs));
      expect(await readColumns()).toEqual(await readColumns(theirs));
      await theirs.drop();
    });

    it('leaves a database that is up to date for Prisma', async () => {
      await migrate(database.url, migrationsDir);

      expect(await diagnose(database.url, migrationsDir)).toEqual(upToDate);
      expect(await deploy(database.url, migrationsDir)).toEqual([]);
    });

    it('treats a database that Prisma has migrated as up to date', async () => {
      expect(await deploy(database.url, migrationsDir)).toEqual(names);

      expect(await migrate(database.url, migrationsDir)).toEqual([]);
    });

    it('continues where Prisma has stopped, and Prisma continues where it has', async () => {
      await deploy(database.url, migrationsDir);
      addMigration(more, 'CREATE TABLE more (id int);');
      expect(await migrate(database.url, ownDir)).toEqual([more]);
      addMigration('20990102000000_later', 'ALTER TABLE more ADD later int;');
      expect(await deploy(database.url, ownDir)).toEqual(['20990102000000_later']);

      expect(await diagnose(database.url, ownDir)).toEqual(upToDate);
    });

    it('applies every migration once when both start at the same moment', async () => {
      const applied = await Promise.all([
        migrate(database.url, migrationsDir),
        deploy(database.url, migrationsDir),
        migrate(database.url, migrationsDir),
        deploy(database.url, migrationsDir),
      ]);

      expect(applied.flat()).toEqual(names);
    });

    it('waits for a migration that Prisma is applying, and does not treat it as failed', async () => {
      await migrate(database.url, ownDir);
      addMigration(more, 'CREATE TABLE more (id int);');
      const prisma = await connect();
      await prisma.query(`SELECT pg_advisory_lock(72707369);
        INSERT INTO _prisma_migrations (id, checksum, migration_name) VALUES ('theirs', 'of no matter', '${more}')`);
      const migrating = migrate(database.url, ownDir);
      await waitForLock(`locktype = 'advisory'`);
      await prisma.query(`UPDATE _prisma_migrations SET finished_at = now() WHERE id = 'theirs'`);
      await prisma.end();

      expect(await migrating).toEqual([]);
      expect((await readRecords()).at(-1)).toMatchObject({ finished: true, rolled_back: false });
    });

    it('makes Prisma stop at a failed migration until it is corrected', async () => {
      addMigration(more, 'SELECT 1 / 0;');
      await expect(migrate(database.url, ownDir)).rejects.toThrow(more);

      await expect(deploy(database.url, ownDir)).rejects.toThrow(/found failed migrations.*20990101000000_more/s);
      expect(await diagnose(database.url, ownDir)).toMatchObject({ failedMigrationNames: [more] });

      addMigration(more, 'CREATE TABLE more (id int);');
      await migrate(database.url, ownDir);
      expect(await diagnose(database.url, ownDir)).toMatchObject({ history: null, failedMigrationNames: [] });
      expect(await deploy(database.url, ownDir)).toEqual([]);
    });

    it('applies a migration that failed in Prisma once it is corrected', async () => {
      addMigration(more, 'SELECT 1 / 0;');
      await expect(deploy(database.url, ownDir)).rejects.toThrow('division by zero');

      addMigration(more, 'CREATE TABLE more (id int);');
      expect(await migrate(database.url, ownDir)).toEqual([more]);
    });
  });

  function addMigration(name: string, sql: string): void {
    mkdirSync(join(ownDir, name), { recursive: true });
    writeFileSync(join(ownDir, name, 'migration.sql'), sql);
  }

  const readRecords = ({ query } = database) =>
    query<{ migration_name: string }>(
      `SELECT migration_name, checksum, logs, applied_steps_count, length(id) AS id_length,
         finished_at IS NOT NULL AS finished, rolled_back_at IS NOT NULL AS rolled_back
       FROM _prisma_migrations ORDER BY started_at`,
    );

  const readColumns = ({ query } = database) =>
    query(
      `SELECT column_name, data_type, character_maximum_length, is_nullable, column_default
       FROM information_schema.columns WHERE table_name = '_prisma_migrations' ORDER BY ordinal_position`,
    );

  const waitForLock = (which: string) =>
    waitFor(
      async () => {
        const waiting = await database.query(
          `SELECT FROM pg_locks JOIN pg_database ON pg_database.oid = database
           WHERE datname = current_database() AND NOT granted AND ${which}`,
        );
        return waiting.length > 0;
      },
      { what: `somebody who waits for the lock ${which}` },
    );

  async function connect(): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    return client;
  }
});
