import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { draftDrops, draftReplacements, readFunctions } from './functions.js';
import { migrate } from './migrate.js';
import { diffTables } from './schema-engine.js';
import { connectClient } from './server-check.js';

/**
 * Returns the SQL that updates the result of all migrations to schema.prisma and the files in prisma/functions; empty if they
 * agree.
 * @param scratchUrl - an empty database, which must not be used for anything else afterwards
 */
export async function draftMigration(scratchUrl: string, prismaDir: string): Promise<string> {
  await migrate(scratchUrl, join(prismaDir, 'migrations'));
  const tables = await draftTables(scratchUrl, prismaDir);
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

async function draftTables(databaseUrl: string, prismaDir: string): Promise<string> {
  const diff = await diffTables(databaseUrl, readFileSync(join(prismaDir, 'schema.prisma'), 'utf8'));
  return diff.trim() === '-- This is an empty migration.' ? '' : diff.trim();
}
