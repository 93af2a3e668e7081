import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { migrate } from '../db/migrate.js';
import { requireDatabaseUrl, runCommand } from './run-command.js';

/** `npm run migrate`: applies the pending migrations to the database of DATABASE_URL. */
await runCommand(async () => {
  const migrationsDir = fileURLToPath(new URL('../../prisma/migrations', import.meta.url));
  const applied = await migrate(requireDatabaseUrl(), migrationsDir, { log: pino({ level: 'warn' }) });
  return applied.length === 0 ? 'The database is up to date.' : `Applied ${applied.join(', ')}.`;
});
