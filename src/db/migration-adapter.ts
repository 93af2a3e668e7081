import { createHash } from 'node:crypto';
import { PrismaPg } from '@prisma/adapter-pg';
import {
  DriverAdapterError,
  type SqlDriverAdapter,
  type SqlMigrationAwareDriverAdapterFactory,
} from '@prisma/driver-adapter-utils';
import type pg from 'pg';

/** How Prisma recognises a migration that was changed afterwards. */
export const checksum = (sql: string): string => createHash('sha256').update(sql).digest('hex');

const charOid = 18;
const textOid = 25;

/** A migration's record, written by the same transaction as its effect: there is no moment with one but not the other. */
const markFinished = (script: string) => `
;UPDATE "_prisma_migrations" SET finished_at = now()
WHERE checksum = '${checksum(script)}' AND finished_at IS NULL AND rolled_back_at IS NULL`;

/**
 * Prisma's adapter for PostgreSQL with what its schema engine needs and it lacks. It splits scripts at every semicolon,
 * also within the body of a function; here a script goes to the server as it is, which makes it one transaction, too.
 * It does not know the type "char" of the system tables; here that is text.
 * @param options.recordMigrations scripts are migrations, and a finished one is recorded as such in its own transaction
 */
export function createMigrationAdapter(
  pool: pg.Pool,
  { recordMigrations }: { recordMigrations: boolean },
): SqlMigrationAwareDriverAdapterFactory {
  const factory = new PrismaPg(readCharAsText(pool));
  const connect = async (): Promise<SqlDriverAdapter> => {
    const adapter = await factory.connect();
    adapter.executeScript = async (script) => {
      await pool.query(recordMigrations ? script + markFinished(script) : script).catch(throwForEngine);
    };
    return adapter;
  };
  // The engine's shadow database is the scratch database that it was given.
  return { provider: factory.provider, adapterName: factory.adapterName, connect, connectToShadowDb: connect };
}

/** The one kind of error whose text the engine passes on. */
function throwForEngine(error: pg.DatabaseError): never {
  const { code = 'N/A', severity = 'ERROR', message, detail, column, hint } = error;
  throw new DriverAdapterError({ kind: 'postgres', code, severity, message, detail, column, hint });
}

function readCharAsText(pool: pg.Pool): pg.Pool {
  const query = pool.query.bind(pool) as (...args: unknown[]) => Promise<pg.QueryResult | pg.QueryResult[]>;
  const patched = async (...args: unknown[]) => {
    const results = await query(...args);
    for (const field of [results].flat().flatMap((result) => result.fields ?? [])) {
      if (field.dataTypeID === charOid) field.dataTypeID = textOid;
    }
    return results;
  };
  return Object.assign(pool, { query: patched });
}
