import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import { root, runAndCollect } from './run-command.mjs';
import { runScript, setUp } from './setup.mjs';

const client = join(root, 'client');
const readmeFolder = join(client, 'test/generated/readme');
/** What an app that uses everything but React's hooks loads, compressed, with graphql-ws. Sending files comes on top. */
const maxBytes = 25_000;
const maxBytesOfFiles = 4_000;

/** Globals of browsers: a server that renders the app must be able to import the client without any of them. */
const browserGlobals = [
  'window',
  'document',
  'navigator',
  'location',
  'indexedDB',
  'WebSocket',
  'BroadcastChannel',
  'fetch',
];

/** Builds the package into client/dist. @returns {Promise<string>} the problems, or an empty string */
export async function buildClient() {
  rmSync(join(client, 'dist'), { recursive: true, force: true });
  return run('node_modules/typescript/bin/tsc', '-p', 'client/tsconfig.build.json');
}

/**
 * Checks the built package as its users see it: its layout, its size, that a server can import it, and that the examples of
 * its README compile.
 * @returns {Promise<string>} the problems, one per line
 */
export async function checkClient() {
  const failed = await buildClient();
  if (failed !== '') return failed;
  const problems = await Promise.all([
    run('node_modules/publint/src/cli.js', 'client', '--strict'),
    run('node_modules/@arethetypeswrong/cli/dist/index.js', '--pack', 'client', '--profile', 'esm-only', '--quiet'),
    checkSize(),
    checkImport(),
    checkReadme(),
  ]);
  return problems.filter((problem) => problem !== '').join('\n');
}

async function checkSize() {
  const [core, files] = await Promise.all([sizeOf('dist/fairway.js'), sizeOf('dist/files/files.js')]);
  return [
    core <= maxBytes ? '' : `The client has ${core} bytes compressed, more than ${maxBytes}`,
    files <= maxBytesOfFiles ? '' : `Sending files has ${files} bytes compressed, more than ${maxBytesOfFiles}`,
  ]
    .filter((problem) => problem !== '')
    .join('\n');
}

/** @param {string} file */
async function sizeOf(file) {
  const { build } = await import('rolldown');
  const { output } = await build({
    input: join(client, file),
    write: false,
    platform: 'browser',
    output: { format: 'esm', minify: true },
  });
  return gzipSync(output.map((chunk) => ('code' in chunk ? chunk.code : '')).join('')).length;
}

function checkImport() {
  const files = ['fairway.js', 'chat-socket.js', 'react/hooks.js', 'files/files.js'].map((file) =>
    join(client, 'dist', file),
  );
  return run(
    '--input-type=module',
    '--eval',
    `for (const name of ${JSON.stringify(browserGlobals)}) {
      Object.defineProperty(globalThis, name, { get() { throw new Error('The import reads ' + name); } });
    }
    for (const file of ${JSON.stringify(files)}) await import(file);`,
  );
}

/** Writes each example of the README into a file of its own, and compiles them. */
async function checkReadme() {
  rmSync(readmeFolder, { recursive: true, force: true });
  mkdirSync(readmeFolder, { recursive: true });
  const text = readFileSync(join(client, 'README.md'), 'utf8');
  for (const [index, [, kind, code]] of [...text.matchAll(/```(tsx?)\n(.*?)```/gs)].entries()) {
    writeFileSync(join(readmeFolder, `example-${index + 1}.${kind}`), `${code}\nexport {};\n`);
  }
  return run('node_modules/typescript/bin/tsc', '-p', 'client/tsconfig.readme.json');
}

/** @param {string[]} args of node */
async function run(...args) {
  const { code, output } = await runAndCollect(process.execPath, args);
  return code === 0 ? '' : output.trim() || `${args[0]} ended with code ${code}`;
}

/** `npm run client:build` */
if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await runScript(async () => {
    await setUp({ operations: true });
    const problem = await buildClient();
    if (problem !== '') throw new Error(problem);
  });
}
