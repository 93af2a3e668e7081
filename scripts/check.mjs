import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { findBackendClientProblems } from './backend-clients.mjs';
import { checkClient } from './client.mjs';
import { findStalePages } from './docs.mjs';
import { findStaleManifests } from './documents.mjs';
import { findForbiddenImports } from './imports.mjs';
import { findNativeClientProblems } from './native-clients.mjs';
import { findMissingNames } from './page-names.mjs';
import { root, runAndCollect } from './run-command.mjs';
import { runScript, setUp } from './setup.mjs';

/** @param {string} script a package's program, relative to node_modules */
const program = (script) => join(root, 'node_modules', script);

/**
 * Every check by name. Each returns the problems, or an empty string.
 * @type {Record<string, () => Promise<string>>}
 */
const checks = {
  types: () => run(program('typescript/bin/tsc'), '-p', 'tsconfig.json'),
  'types of the client': () => run(program('typescript/bin/tsc'), '-p', 'client/tsconfig.test.json'),
  'types of the chat app': () => run(program('typescript/bin/tsc'), '-p', 'web/tsconfig.json'),
  client: checkClient,
  documents: findStaleManifests,
  'clients of backends': findBackendClientProblems,
  'native clients': async () => findNativeClientProblems(),
  imports: async () => findForbiddenImports(),
  'format and lint': () => run(program('@biomejs/biome/bin/biome'), 'check', '--error-on-warnings', '.'),
  'dead code': () => run(program('knip/bin/knip.js'), '--no-progress'),
  'schema.graphql': compareSchema,
  docs: async () => [await findStalePages(), findMissingNames()].join('\n'),
};

await runScript(async () => {
  // Generates the types of the tests' operations again if schema.graphql, a test or codegen.ts has changed. An operation that
  // does not fit the schema fails here, and one that is used wrongly fails the type check.
  await setUp({ operations: existsSync(join(root, 'codegen.ts')) });
  const results = await Promise.all(
    Object.entries(checks).map(async ([name, check]) => ({ name, problem: (await check()).trim() })),
  );
  for (const { name, problem } of results) {
    process.stdout.write(problem === '' ? `ok      ${name}\n` : `FAILED  ${name}\n${problem}\n\n`);
  }
  if (results.some(({ problem }) => problem !== '')) process.exitCode = 1;
});

/** @param {[string, ...string[]]} args */
async function run(...args) {
  const { code, output } = await runAndCollect(process.execPath, args);
  return code === 0 ? '' : output.trim() || `ended with code ${code}`;
}

async function compareSchema() {
  const { code, stdout, output } = await runAndCollect(process.execPath, [join(root, 'dist/schema/print.js')]);
  if (code !== 0) return output;
  const path = join(root, 'schema.graphql');
  const written = existsSync(path) ? readFileSync(path, 'utf8') : '';
  if (written.trim() === stdout.trim()) return '';
  return 'schema.graphql is not what the code says. Update it: node dist/schema/print.js > schema.graphql';
}
