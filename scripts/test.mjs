import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { root, runInTerminal } from './run-command.mjs';
import { runScript, setUp } from './setup.mjs';
import { ensureChromium, ensureNatsServer, ensurePgbouncer, ensureSwift } from './test-requirements.mjs';

/** `npm test`: sets up all requirements of the tests and runs them; arguments are passed to vitest. */
await runScript(async () => {
  await setUp({ operations: existsSync(join(root, 'codegen.ts')), web: true });
  const reasons = [await ensureNatsServer(), await ensureChromium(), await ensurePgbouncer(), await ensureSwift()];
  const missing = reasons.filter((reason) => reason !== '');
  process.exitCode = await runInTerminal(process.execPath, [
    join(root, 'node_modules/vitest/vitest.mjs'),
    'run',
    ...process.argv.slice(2),
  ]);
  for (const reason of missing) process.stderr.write(`\nSkipped: ${reason}\n`);
});
