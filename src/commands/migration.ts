import { randomUUID } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { draftMigration } from '../db/draft-migration.js';
import { startPostgres } from '../dev/embedded/postgres.js';
import { makeOpenFolder } from '../dev/embedded/unprivileged.js';
import { CommandError, runCommand } from './run-command.js';

const usage = 'A migration needs a name in small letters, digits and underscores: npm run migration -- pinned_rooms';

/** `npm run migration -- <name>`: writes a migration from the current migrations to schema.prisma and prisma/functions. */
const [, , name = ''] = process.argv;
await runCommand(async () => {
  if (!/^[a-z0-9_]+$/.test(name)) throw new CommandError(usage);
  const prismaDir = fileURLToPath(new URL('../../prisma', import.meta.url));
  const sql = await withScratchDatabase((url) => draftMigration(url, prismaDir));
  if (sql === '') return 'Nothing to write: the migrations lead to schema.prisma and prisma/functions already.';
  const folder = `${new Date().toISOString().replace(/\D/g, '').slice(0, 14)}_${name}`;
  mkdirSync(join(prismaDir, 'migrations', folder));
  writeFileSync(join(prismaDir, 'migrations', folder, 'migration.sql'), `${sql}\n`);
  return `Wrote prisma/migrations/${folder}/migration.sql. Read it before it is applied.`;
});

async function withScratchDatabase<T>(use: (url: string) => Promise<T>): Promise<T> {
  const dataDir = join(tmpdir(), `fairway-migration-${randomUUID()}`);
  makeOpenFolder(dataDir); // PostgreSQL may run as another user
  try {
    const postgres = await startPostgres({ dataDir, log: pino({ level: 'warn' }), settings: { fsync: 'off' } });
    try {
      return await use(postgres.url);
    } finally {
      await postgres.stop();
    }
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
}
