import { PrismaPg } from '@prisma/adapter-pg';
import { DriverAdapterError } from '@prisma/driver-adapter-utils';
import type { MigrationList, SchemaEngine } from '@prisma/schema-engine-wasm/schema_engine_bg';
import pg from 'pg';
import { readMigrations } from '../../src/db/migrate.js';
import { withSchemaEngine } from '../../src/db/schema-engine.js';

const filters = { externalTables: [], externalEnums: [] };

/** `prisma migrate deploy`, by its own engine: the names of what it applied. */
export const deploy = (databaseUrl: string, migrationsDir: string) =>
  withEngine(databaseUrl, async (engine) => {
    const migrationsList = listMigrations(migrationsDir);
    return (await engine.applyMigrations({ migrationsList, filters })).appliedMigrationNames;
  });

/** What `prisma migrate status` makes its answer of. */
export const diagnose = (databaseUrl: string, migrationsDir: string) =>
  withEngine(databaseUrl, (engine) => {
    const migrationsList = listMigrations(migrationsDir);
    return engine.diagnoseMigrationHistory({ migrationsList, optInToShadowDatabase: false, filters });
  });

/** With one connection, as Prisma's command line has. */
async function withEngine<T>(databaseUrl: string, use: (engine: SchemaEngine) => Promise<T>): Promise<T> {
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 1 });
  const factory = new PrismaPg(pool);
  const connect = async () => Object.assign(await factory.connect(), { executeScript: executeWhole(pool) });
  try {
    return await withSchemaEngine({ ...factory, connect, connectToShadowDb: connect }, use);
  } finally {
    await pool.end();
  }
}

/** Prisma's adapter would split a script at every semicolon, also within the body of a function. */
const executeWhole = (pool: pg.Pool) => async (script: string) => {
  await pool.query(script).catch(({ code = 'N/A', severity = 'ERROR', message }: pg.DatabaseError) => {
    // The one kind of error whose text the engine passes on.
    throw new DriverAdapterError({
      kind: 'postgres',
      ...{ code, severity, message, detail: undefined, column: undefined, hint: undefined },
    });
  });
};

const listMigrations = (baseDir: string): MigrationList => ({
  baseDir,
  lockfile: { path: 'migration_lock.toml', content: 'provider = "postgresql"\n' },
  shadowDbInitScript: '',
  migrationDirectories: readMigrations(baseDir).map(({ name, sql }) => ({
    path: name,
    migrationFile: { path: 'migration.sql', content: { tag: 'ok', value: sql } },
  })),
});
