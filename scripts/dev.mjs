import { runScript, setUp } from './setup.mjs';

/** `npm run dev`: the chat app with hot reload, beside a server that runs already. */
await runScript(async () => {
  await setUp({ operations: true });
  const { createServer } = await import('vite');
  const { createDevConfig } = await import('../web/vite.config.mjs');
  const server = await createServer(await createDevConfig());
  await server.listen();
  server.printUrls();
});
