import { createHash, randomUUID } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import type { Logger } from 'pino';
import { assertUsable, connectClient, DatabaseUnusableError } from './server-check.js';

/** A migration failed and was rolled back. */
export class MigrationError extends Error {
  override readonly name = 'MigrationError';
}

export interface MigrateOptions {
  readonly log?: Logger;
  /** Stops at once; the running migration is rolled back. */
  readonly signal?: AbortSignal;
}

/** One folder of prisma/migrations. */
export interface Migration {
  readonly name: string;
  readonly sql: string;
}

/**
 * Resolves once the database has every migration of the folder. It writes `_prisma_migrations` like `prisma migrate deploy`
 * and takes the same lock, so that both can be used on a database, even at the same time. Several processes may call it at
 * once: one of them migrates, the others wait for it.
 * @returns the names of the migrations that this call applied
 * @throws {DatabaseUnreachableError} if the server does not answer within 5 s
 * @throws {DatabaseUnusableError} if the server or a pooler does not meet the requirements
 * @throws {MigrationError}
 */
export async function migrate(
  databaseUrl: string,
  migrationsDir: string,
  { log, signal }: MigrateOptions = {},
): Promise<string[]> {
  const migrations = readMigrations(migrationsDir);
  const client = await connectClient(databaseUrl, signal);
  try {
    await assertUsable(client, databaseUrl, signal);
    if ((await findPending(client, migrations)).length === 0) return [];
    await client.query('SELECT pg_advisory_lock(72707369)'); // Prisma's number; the end of the connection gives it back
    await ensureRecords(client);
    const pending = await findPending(client, migrations);
    if (pending.length > 0) await forgetFailed(client);
    for (const migration of pending) {
      await applyMigration(client, migration);
      log?.info({ migration: migration.name }, 'Applied a migration');
    }
    return pending.map(({ name }) => name);
  } catch (error) {
    if (error instanceof DatabaseUnusableError) throw error;
    throw new MigrationError(`The database could not be migrated: ${(error as Error).message}`, { cause: error });
  } finally {
    await client.end();
  }
}

/** The migrations of the folder, in order. */
export function readMigrations(migrationsDir: string): Migration[] {
  return readdirSync(migrationsDir)
    .filter((name) => existsSync(join(migrationsDir, name, 'migration.sql')))
    .sort()
    .map((name) => ({ name, sql: readFileSync(join(migrationsDir, name, 'migration.sql'), 'utf8') }));
}

/** A migration in the database counts as applied even if its file has changed since, as in Prisma. */
async function findPending(client: pg.Client, migrations: Migration[]): Promise<Migration[]> {
  if (!(await hasRecords(client))) return migrations;
  const { rows } = await client.query<{ name: string }>(
    `SELECT migration_name AS name FROM _prisma_migrations WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL`,
  );
  const applied = new Set(rows.map(({ name }) => name));
  return migrations.filter(({ name }) => !applied.has(name));
}

async function hasRecords(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ found: boolean }>(
    `SELECT to_regclass('_prisma_migrations') IS NOT NULL AS found`,
  );
  return rows[0]?.found === true;
}

async function ensureRecords(client: pg.Client): Promise<void> {
  if (await hasRecords(client)) return;
  await assertEmpty(client);
  await client.query(`
    CREATE TABLE _prisma_migrations (
      id varchar(36) PRIMARY KEY NOT NULL,
      checksum varchar(64) NOT NULL,
      finished_at timestamptz,
      migration_name varchar(255) NOT NULL,
      logs text,
      rolled_back_at timestamptz,
      started_at timestamptz NOT NULL DEFAULT now(),
      applied_steps_count integer NOT NULL DEFAULT 0
    )`);
}

/** Tables without migration records belong to another application, or their records are lost. Ignores those of extensions. */
async function assertEmpty(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT relname AS name FROM pg_class
     WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace AND NOT EXISTS (
       SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e'
     )
     LIMIT 1`,
  );
  if (rows[0] === undefined) return;
  throw new Error(`it has tables (${rows[0].name}), but no record of migrations. Fairway needs a database of its own`);
}

/**
 * Prisma stops after a failed or interrupted migration until it is marked as rolled back. A script is one transaction, so it
 * was rolled back.
 */
async function forgetFailed(client: pg.Client): Promise<void> {
  await client.query(
    'UPDATE _prisma_migrations SET rolled_back_at = now() WHERE finished_at IS NULL AND rolled_back_at IS NULL',
  );
}

/** Runs the script and writes its record in one transaction. */
async function applyMigration(client: pg.Client, { name, sql }: Migration): Promise<void> {
  const id = randomUUID();
  await client.query('BEGIN');
  await client.query(
    'INSERT INTO _prisma_migrations (id, checksum, migration_name, started_at) VALUES ($1, $2, $3, now())',
    [id, createHash('sha256').update(sql).digest('hex'), name],
  );
  await client.query('SAVEPOINT script');
  try {
    await client.query(sql);
  } catch (error) {
    const reason = describe(error as Error, sql);
    await recordFailure(client, id, reason).catch(() => undefined); // where the connection is lost, so is all of it
    throw new Error(`${name}: ${reason}`, { cause: error });
  }
  await client.query(
    'UPDATE _prisma_migrations SET finished_at = clock_timestamp(), applied_steps_count = 1 WHERE id = $1',
    [id],
  );
  await client.query('COMMIT');
}

async function recordFailure(client: pg.Client, id: string, reason: string): Promise<void> {
  await client.query('ROLLBACK TO SAVEPOINT script');
  await client.query('UPDATE _prisma_migrations SET logs = $2 WHERE id = $1', [id, reason]);
  await client.query('COMMIT');
}

function describe(error: Error, sql: string): string {
  if (!(error instanceof pg.DatabaseError)) return error.message;
  const { message, detail, position } = error;
  const line = position === undefined ? '' : ` (line ${sql.slice(0, Number(position)).split('\n').length})`;
  return `${message}${line}${detail === undefined ? '' : `: ${detail}`}`;
}
