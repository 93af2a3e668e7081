import { delimiter, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root, runQuietly } from './run-command.mjs';

/**
 * Writes the Prisma client and the Pothos types into src/db/generated.
 *
 * `prisma generate` requires the schema engine, although it never runs it, and would download it. Any executable satisfies
 * it, so it gets one that always exists, and needs no network.
 * @param {string[]} options of `prisma generate`
 */
export async function generate(...options) {
  const env = {
    ...process.env,
    // Prisma looks for the Pothos generator on PATH. npm would add the folder, but this may run without npm.
    PATH: [join(root, 'node_modules/.bin'), process.env.PATH].join(delimiter),
    PRISMA_SCHEMA_ENGINE_BINARY: process.execPath,
    PRISMA_HIDE_UPDATE_MESSAGE: '1',
    CHECKPOINT_DISABLE: '1',
  };
  const prisma = join(root, 'node_modules/prisma/build/index.js');
  await runQuietly(process.execPath, [prisma, 'generate', '--no-hints', ...options], { env });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await generate();
