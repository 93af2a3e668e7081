import { join } from 'node:path';
import { root } from './run-command.mjs';
import { runScript, setUp } from './setup.mjs';

/** `npm run gallery`: shows every part of the chat app in every state. */
await runScript(async () => {
  await setUp({ operations: true });
  const { createServer } = await import('vite');
  const server = await createServer({ configFile: join(root, 'web/vite.config.ts'), server: { port: 4100 } });
  await server.listen();
  const [address = ''] = server.resolvedUrls?.local ?? [];
  process.stdout.write(`\n  The gallery: ${address}gallery.html\n\n`);
});
