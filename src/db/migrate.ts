import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type pg from 'pg';
import type { Logger } from 'pino';
import { checksum } from './migration-adapter.js';
import { applyMigrations, type Migration } from './schema-engine.js';
import { assertUsable, connectClient, DatabaseUnusableError } from './server-check.js';

/** A migration failed; what it had done is rolled back where it ran in a transaction. */
export class MigrationError extends Error {
  override readonly name = 'MigrationError';
}

export interface MigrateOptions {
  readonly log?: Logger;
  /** Ends it at once; what it was doing is rolled back. */
  readonly signal?: AbortSignal;
}

/** Ours alone: the engine takes 72707369 itself, on another connection. */
const lockKey = 4_661_729_377;

/**
 * Resolves once the database has every migration of the folder, in Prisma's format, so that `prisma migrate` can be used
 * on it as well. Any number of processes may call it at once: one of them migrates, the others wait for it.
 * @returns the names of those that this call applied
 * @throws {DatabaseUnreachableError} where it does not answer within 5 s
 * @throws {DatabaseUnusableError} where the server or the way to it is not what the instance takes for granted
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
    if (await isUpToDate(client, migrations)) return [];
    await client.query('SELECT pg_advisory_lock($1)', [lockKey]);
    if (await isUpToDate(client, migrations)) return [];
    await forgetUnfinished(client);
    const applied = await applyMigrations(databaseUrl, resolve(migrationsDir), migrations, signal);
    for (const name of applied) log?.info({ migration: name }, 'Applied a migration');
    return applied;
  } catch (error) {
    if (error instanceof DatabaseUnusableError) throw error;
    throw new MigrationError(`The database could not be migrated: ${describe(error)}`, { cause: error });
  } finally {
    await client.end(); // gives the lock back as well
  }
}

/** The migrations of the folder in their order. */
export function readMigrations(migrationsDir: string): Migration[] {
  return readdirSync(migrationsDir)
    .filter((name) => existsSync(join(migrationsDir, name, 'migration.sql')))
    .sort()
    .map((name) => ({ name, sql: readFileSync(join(migrationsDir, name, 'migration.sql'), 'utf8') }));
}

/** Spares every start but the first the loading of the engine, which takes longer than all the rest of a start. */
async function isUpToDate(client: pg.Client, migrations: Migration[]): Promise<boolean> {
  if (!(await hasRecords(client))) return false;
  const { rows } = await client.query<{ migration_name: string; checksum: string; finished: boolean }>(
    `SELECT migration_name, checksum, finished_at IS NOT NULL AS finished FROM _prisma_migrations WHERE rolled_back_at IS NULL`,
  );
  if (rows.some(({ finished }) => !finished)) return false;
  const applied = new Map(rows.map((row) => [row.migration_name, row.checksum]));
  return migrations.every(({ name, sql }) => applied.get(name) === checksum(sql));
}

/**
 * A start that was killed while it migrated leaves a record without an end, and Prisma refuses to go on after one. Here a
 * migration and the end of its record are one transaction, so nothing of that migration is in the database, and it may
 * simply run again: what `prisma migrate resolve --rolled-back` says.
 */
async function forgetUnfinished(client: pg.Client): Promise<void> {
  if (!(await hasRecords(client))) return;
  await client.query(
    'UPDATE _prisma_migrations SET rolled_back_at = now() WHERE finished_at IS NULL AND rolled_back_at IS NULL',
  );
}

async function hasRecords(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ found: boolean }>(
    `SELECT to_regclass('_prisma_migrations') IS NOT NULL AS found`,
  );
  return rows[0]?.found === true;
}

/** The engine appends where in its own source it failed, which says nothing about the migration but its name. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return JSON.stringify(error);
  const migration = /migration_name="([^"]+)"/.exec(error.message)?.[1];
  const message = error.message.split(/\n\s+0: /)[0] ?? error.message;
  return migration === undefined ? message : `${migration}: ${message}`;
}
