import { seedDemo } from '../db/seed-demo.js';
import { CommandError, requireDatabaseUrl, runCommand } from './run-command.js';

/** `npm run demo`: writes the demo into the migrated database of DATABASE_URL. Twice is as good as once. */
await runCommand(async () => {
  const isWritten = await seedDemo(requireDatabaseUrl()).catch(explainMissingTables);
  return isWritten ? 'The demo is written.' : 'The demo was there already; nothing was changed.';
});

function explainMissingTables(error: unknown): never {
  if ((error as { code?: unknown }).code !== 'P2021') throw error;
  throw new CommandError('This database has no tables yet. First: npm run migrate');
}
