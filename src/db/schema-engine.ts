import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { bindMigrationAwareSqlAdapterFactory } from '@prisma/driver-adapter-utils';
import type { DiffTarget, MigrationList, SchemaEngine } from '@prisma/schema-engine-wasm/schema_engine_bg';
import pg from 'pg';
import { createMigrationAdapter } from './migration-adapter.js';
import { cuttable } from './server-check.js';

/** One folder of prisma/migrations. */
export interface Migration {
  readonly name: string;
  readonly sql: string;
}

const filters = { externalTables: [], externalEnums: [] };

/**
 * Applies what the database lacks, by the engine of `prisma migrate deploy`, here as WebAssembly: nothing to download.
 * The caller sees to it that it runs once at a time.
 */
export function applyMigrations(
  databaseUrl: string,
  baseDir: string,
  migrations: readonly Migration[],
  signal?: AbortSignal,
): Promise<string[]> {
  const apply = async (engine: SchemaEngine) => {
    const migrationsList = listMigrations(baseDir, migrations);
    const { appliedMigrationNames } = await engine.applyMigrations({ migrationsList, filters });
    return appliedMigrationNames;
  };
  return withEngine(databaseUrl, apply, { signal });
}

/**
 * The SQL that leads from the migrations to the Prisma schema; an empty migration means that the two agree.
 * @param scratchUrl an empty database, which has the migrations applied afterwards
 */
export function diffMigrations(
  scratchUrl: string,
  baseDir: string,
  migrations: readonly Migration[],
  schema: string,
): Promise<string> {
  const from: DiffTarget = { tag: 'migrations', ...listMigrations(baseDir, migrations) };
  const to: DiffTarget = { tag: 'schemaDatamodel', files: [{ path: 'schema.prisma', content: schema }] };
  return withEngine(
    scratchUrl,
    async (engine) => (await engine.diff({ from, to, script: true, exitCode: null, filters })).stdout ?? '',
    { schema },
  );
}

async function withEngine<T>(
  databaseUrl: string,
  use: (engine: SchemaEngine) => Promise<T>,
  { schema, signal }: { schema?: string; signal?: AbortSignal | undefined },
): Promise<T> {
  const { SchemaEngine } = await loadEngine();
  // The adapter ends a pool of its own too late for the next migration, so it gets one that is ended here.
  const pool = new pg.Pool(cuttable({ connectionString: databaseUrl, max: 2 }, signal));
  pool.on('error', () => undefined); // of an idle connection; a query that it concerns fails by itself
  const failures: unknown[] = [];
  const registry = panicRegistry((message) => failures.push(new Error(message)));
  try {
    const adapter = bindMigrationAwareSqlAdapterFactory(
      createMigrationAdapter(pool, { recordMigrations: schema === undefined }),
    );
    const datamodels: [string, string][] | undefined = schema === undefined ? undefined : [['schema.prisma', schema]];
    const engine = await SchemaEngine.new({ datamodels }, () => undefined, adapter);
    try {
      return await use(engine);
    } finally {
      engine.free();
    }
  } catch (error) {
    throw failures[0] ?? error;
  } finally {
    registry.restore();
    await pool.end();
  }
}

/** Node has it, its types do not. */
declare const WebAssembly: {
  instantiate(code: Uint8Array, imports: Record<string, object>): Promise<{ instance: { exports: object } }>;
};

let engineModule: Promise<typeof import('@prisma/schema-engine-wasm/schema_engine_bg')> | undefined;

/** The package's own entry imports a .wasm file as a module, which Node does not do yet; this is what it would do. */
function loadEngine() {
  engineModule ??= (async () => {
    const engine = await import('@prisma/schema-engine-wasm/schema_engine_bg');
    const file = createRequire(import.meta.url)
      .resolve('@prisma/schema-engine-wasm/schema_engine_bg')
      .replace(/\.js$/, '.wasm');
    const { instance } = await WebAssembly.instantiate(await readFile(file), {
      './schema_engine_bg.js': withoutLinger({ ...engine }),
    });
    engine.__wbg_set_wasm(instance.exports);
    (instance.exports as { __wbindgen_start(): void }).__wbindgen_start();
    return engine;
  })();
  return engineModule;
}

/**
 * The engine never takes back the timer with which it limits the wait for its own lock, and a process that has migrated
 * would have to live on for those 10 s.
 */
function withoutLinger(imports: Record<string, unknown>): Record<string, unknown> {
  const name = Object.keys(imports).find((key) => key.startsWith('__wbg_setTimeout_'));
  const setBriefTimeout = (callback: () => void, ms: number) => setTimeout(callback, ms >>> 0).unref();
  return name === undefined ? imports : { ...imports, [name]: setBriefTimeout };
}

/** Where the engine leaves the message of a panic, which would otherwise be a bare "unreachable". */
function panicRegistry(onPanic: (message: string) => void) {
  const scope = globalThis as { PRISMA_WASM_PANIC_REGISTRY?: { set_message(message: string): void } | undefined };
  const before = scope.PRISMA_WASM_PANIC_REGISTRY;
  scope.PRISMA_WASM_PANIC_REGISTRY = { set_message: onPanic };
  return {
    restore: () => {
      scope.PRISMA_WASM_PANIC_REGISTRY = before;
    },
  };
}

function listMigrations(baseDir: string, migrations: readonly Migration[]): MigrationList {
  return {
    baseDir,
    lockfile: { path: 'migration_lock.toml', content: 'provider = "postgresql"\n' },
    shadowDbInitScript: '',
    migrationDirectories: migrations.map(({ name, sql }) => ({
      path: name,
      migrationFile: { path: 'migration.sql', content: { tag: 'ok', value: sql } },
    })),
  };
}
