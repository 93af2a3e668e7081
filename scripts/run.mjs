import { join } from 'node:path';
import { root, runInTerminal } from './run-command.mjs';
import { runScript, setUp } from './setup.mjs';

const [name, ...args] = process.argv.slice(2);

await runScript(async () => {
  await setUp();
  process.exitCode = await runInTerminal(process.execPath, [join(root, `dist/commands/${name}.js`), ...args]);
});
