import { readLanguage } from '../config.js';
import { seedDemo } from '../dev/seed-demo.js';
import { requireDatabaseUrl, runCommand } from './run-command.js';

/** `npm run demo`: writes the demo into the migrated database of DATABASE_URL. A second run changes nothing. */
await runCommand(async () => {
  const isWritten = await seedDemo(requireDatabaseUrl(), { language: readLanguage(process.env) });
  return isWritten ? 'The demo is written.' : 'The demo was there already; nothing was changed.';
});
