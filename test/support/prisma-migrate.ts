import { PrismaPg } from '@prisma/adapter-pg';
import { DriverAdapterError } from '@prisma/driver-adapter-utils';
import type { MigrationList, SchemaEngine } from '@prisma/schema-engine-wasm/schema_engine_bg';
import pg from 'pg';
import { readMigrations } from '../../src/db/migrate.js';
import { withSchemaEngine } from '../../src/db/schema-engine.js';

const filters = { externalTables: [], externalEnums: [] };

/** Runs `prisma migrate deploy` by its own engine; resolves with the names of the applied migrations. */
export const deploy = (databaseUrl: string, migrationsDir: string) =>
  withEngine(databaseUrl, async (engine) => {
    const migrationsList = listMigrations(migrationsDir);
    return (await engine.applyMigrations({ migrationsList, filters })).appliedMigrationNames;
  });

/** Resolves with the data from which `prisma migrate status` makes its answer. */
export const diagnose = (databaseUrl: string, migrationsDir: string) =>
  withEngine(databaseUrl, (engine) => {
    const migrationsList = listMigrations(migrationsDir);
    return engine.diagnoseMigrationHistory({ migrationsList, optInToShadowDatabase: false, filters });
  });

/** Uses one connection, as Prisma's command line does. */
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

/** Executes a script as a whole: Prisma's adapter splits it at every semicolon, even in the body of a function. */
const executeWhole = (pool: pg.Pool) => async (script: string) => {
  await pool.query(script).catch(({ code = 'N/A', severity = 'ERROR', message }: pg.DatabaseError) => {
    // The engine passes on the text of this kind of error only.
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
