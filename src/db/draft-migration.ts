import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { draftDrops, draftReplacements, readFunctions } from './functions.js';
import { readMigrations } from './migrate.js';
import { diffMigrations } from './schema-engine.js';
import { connectClient } from './server-check.js';

/**
 * The SQL that leads from what the migrations make to schema.prisma and the files in prisma/functions; empty where they
 * agree.
 * @param scratchUrl - an empty database, which serves for nothing else afterwards
 */
export async function draftMigration(scratchUrl: string, prismaDir: string): Promise<string> {
  const tables = await diffTables(scratchUrl, prismaDir);
  const functions = readFunctions(join(prismaDir, 'functions'));
  const client = await connectClient(scratchUrl);
  try {
    const dropped = (await draftDrops(client, functions)).join('\n');
    await client.query(`${dropped}\n${tables}`);
    const replaced = await draftReplacements(client, functions);
    return [dropped, tables, ...replaced].filter((part) => part !== '').join('\n\n');
  } finally {
    await client.end();
  }
}

/** The database has the migrations applied afterwards. */
async function diffTables(scratchUrl: string, prismaDir: string): Promise<string> {
  const migrationsDir = join(prismaDir, 'migrations');
  const schema = readFileSync(join(prismaDir, 'schema.prisma'), 'utf8');
  const diff = await diffMigrations(scratchUrl, migrationsDir, readMigrations(migrationsDir), schema);
  return diff.trim() === '-- This is an empty migration.' ? '' : diff.trim();
}
