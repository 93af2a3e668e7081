import { join } from 'node:path';
import { root } from './run-command.mjs';
import { runScript, setUp } from './setup.mjs';

/** `npm run dev`: the chat app with hot reload, beside a server that runs already. */
await runScript(async () => {
  await setUp({ operations: true });
  const { createServer } = await import('vite');
  const server = await createServer({ configFile: join(root, 'web/vite.config.ts') });
  await server.listen();
  server.printUrls();
});
