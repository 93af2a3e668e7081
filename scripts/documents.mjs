import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root } from './run-command.mjs';
import { runScript, setUp } from './setup.mjs';

/** The packages whose operations every server registers. */
const packages = ['client', 'web'];

/** @returns {Promise<string>} the manifests that are out of date, one per line */
export async function findStaleManifests() {
  const stale = await Promise.all(
    packages.map(async (name) => {
      const path = pathOf(name);
      const written = existsSync(path) ? readFileSync(path, 'utf8') : '';
      return written === (await readManifest(name)) ? '' : `${name}/documents.json is out of date: npm run documents`;
    }),
  );
  return stale.filter((problem) => problem !== '').join('\n');
}

/** @param {string} name */
const pathOf = (name) => join(root, name, 'documents.json');

/**
 * The operations of a package by their ids: exactly the texts that it sends.
 * @param {string} name
 */
async function readManifest(name) {
  const { build } = await import('rolldown');
  const folder = join(root, name, 'src/operations/generated');
  const files = readdirSync(folder).filter((file) => file.endsWith('.ts'));
  const modules = await Promise.all(
    files.sort().map(async (file) => {
      const { output } = await build({ input: join(folder, file), write: false, output: { format: 'esm' } });
      return import(`data:text/javascript,${encodeURIComponent(output[0].code)}`);
    }),
  );
  const texts = modules
    .flatMap((documents) => Object.entries(documents))
    .filter(([key]) => key.endsWith('Document'))
    .map(([, document]) => String(document));
  const entries = texts.map((text) => [createHash('sha256').update(text).digest('hex'), text]);
  return `${JSON.stringify(Object.fromEntries(entries), null, 2)}\n`;
}

/** `npm run documents` */
if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await runScript(async () => {
    await setUp({ operations: true });
    for (const name of packages) writeFileSync(pathOf(name), await readManifest(name));
  });
}
