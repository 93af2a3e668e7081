import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { fingerprint, readStamp } from './fingerprint.mjs';
import { generate } from './generate.mjs';
import { writeGraphiqlFiles } from './graphiql-files.mjs';
import { step } from './progress.mjs';
import { root, runQuietly } from './run-command.mjs';
import { withLock } from './setup-lock.mjs';
import { buildWeb } from './web.mjs';

const requiredNode = [20, 19];
const generatedStamp = 'src/db/generated/.fingerprint';
const buildStamp = 'dist/.fingerprint';
const webStamp = 'web/dist/.fingerprint';
const operationFolders = ['test/e2e/generated', 'client/src/operations/generated', 'web/src/operations/generated'];
const operationsStamp = 'test/e2e/generated/.fingerprint';
const relayFolder = 'clients/relay';
const relayGenerated = `${relayFolder}/__generated__`;
const relayStamp = `${relayGenerated}/.fingerprint`;

const generateSources = ['package-lock.json', 'prisma.config.ts', 'prisma/schema.prisma'];
const buildSources = [...generateSources, 'tsconfig.json', 'tsconfig.build.json', 'scripts/graphiql-files.mjs', 'src'];
const operationSources = [
  ...['package-lock.json', 'codegen.ts', 'schema.graphql', 'scripts/setup.mjs'],
  ...['client/src/operations', 'web/src/operations', 'test'],
];
const relaySources = ['package-lock.json', 'schema.graphql', 'scripts/setup.mjs', relayFolder];
const webSources = ['package-lock.json', 'schema.graphql', 'codegen.ts', 'scripts/web.mjs', 'client/src', 'web'];
const webExceptions = [...operationFolders, 'web/dist', 'web/node_modules', 'web/test', 'web/README.md'];

/**
 * Makes a clone ready to run: packages, generated client, build. Skips every step that is up to date. Several processes may
 * call it at the same time.
 * @param {{ operations?: boolean, web?: boolean }} [options] operations: also the types of the GraphQL operations of the client
 *   and the tests, and what Relay's compiler makes of its recipe; web: also the chat app
 */
export async function setUp({ operations = false, web = false } = {}) {
  assertNodeVersion();
  const steps = () => {
    // In this order: the generated client depends on the packages, and the build on both.
    if (!isInstalled()) return { what: 'Installing packages', run: install };
    if (!isGenerated()) return { what: 'Generating the database client', run: generateClient };
    if (!isBuilt()) return { what: 'Building', run: build };
    if (operations && !areOperationsTyped()) return { what: 'Typing the operations', run: typeOperations };
    if (operations && !isRelayCompiled()) return { what: "Compiling Relay's operations", run: compileRelay };
    if (web && !isWebBuilt()) return { what: 'Building the chat app', run: buildApp };
    return undefined;
  };
  if (steps() === undefined) return;
  await withLock(join(root, '.setup.lock'), async () => {
    for (let next = steps(); next !== undefined; next = steps()) await step(next.what, next.run);
  });
}

function assertNodeVersion() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const [requiredMajor = 0, requiredMinor = 0] = requiredNode;
  if (major > requiredMajor || (major === requiredMajor && minor >= requiredMinor)) return;
  throw new Error(`Fairway needs Node ${requiredNode.join('.')} or newer; this is ${process.versions.node}.`);
}

/**
 * Whether node_modules matches the lockfile. npm writes its own record there only at the end of a complete install. Packages
 * that are missing in the record must be optional: those of other platforms.
 */
function isInstalled() {
  const recordPath = join(root, 'node_modules/.package-lock.json');
  if (!existsSync(recordPath)) return false;
  const wanted = readPackages(join(root, 'package-lock.json'));
  const present = readPackages(recordPath);
  return Object.entries(wanted).every(([path, { version, optional, devOptional }]) => {
    if (path === '') return true;
    const found = present[path];
    return found === undefined ? optional === true || devOptional === true : found.version === version;
  });
}

/**
 * @param {string} path
 * @returns {Record<string, { version?: string, optional?: boolean, devOptional?: boolean }>}
 */
const readPackages = (path) => JSON.parse(readFileSync(path, 'utf8')).packages;

async function install() {
  // The build needs the development packages, even if NODE_ENV is production.
  // Sets the log level because `npm run --silent` passes its own on, and npm would not print why an install fails.
  const quiet = ['--no-fund', '--no-audit', '--no-progress', '--loglevel=error'];
  await runQuietly('npm', ['ci', '--include=dev', '--include=optional', ...quiet]);
}

const isGenerated = () => readStamp(generatedStamp) === fingerprint(generateSources);

async function generateClient() {
  const stamp = fingerprint(generateSources);
  await generate();
  writeFileSync(join(root, generatedStamp), stamp);
}

const isBuilt = () => readStamp(buildStamp) === fingerprint(buildSources, { except: ['src/db/generated'] });

/** Builds into a new folder and swaps it with dist, so that no process sees a half-done build or files without a source. */
async function build() {
  const stamp = fingerprint(buildSources, { except: ['src/db/generated'] });
  const fresh = join(root, `dist.${process.pid}`);
  const stale = join(root, `dist.${process.pid}.stale`);
  rmSync(fresh, { recursive: true, force: true });
  try {
    await runQuietly(process.execPath, [
      join(root, 'node_modules/typescript/bin/tsc'),
      ...['-p', 'tsconfig.build.json', '--outDir', fresh],
    ]);
    await writeGraphiqlFiles(join(fresh, 'graphiql'));
    writeFileSync(join(fresh, '.fingerprint'), stamp);
    if (existsSync(join(root, 'dist'))) renameSync(join(root, 'dist'), stale);
    renameSync(fresh, join(root, 'dist'));
  } finally {
    rmSync(fresh, { recursive: true, force: true });
    rmSync(stale, { recursive: true, force: true });
  }
}

const operationsFingerprint = () => fingerprint(operationSources, { except: operationFolders });
const areOperationsTyped = () => readStamp(operationsStamp) === operationsFingerprint();

async function typeOperations() {
  const stamp = operationsFingerprint();
  for (const folder of operationFolders) mkdirSync(join(root, folder), { recursive: true });
  await runQuietly(process.execPath, [
    join(root, 'node_modules/@graphql-codegen/cli/cjs/bin.js'),
    ...['--config', 'codegen.ts', '--silent'],
  ]);
  for (const folder of operationFolders.slice(1)) await shortenDocuments(join(root, folder, 'documents.ts'));
  writeFileSync(join(root, operationsStamp), stamp);
}

/**
 * Takes the spaces out of generated documents that browsers load and send.
 * @param {string} path
 */
async function shortenDocuments(path) {
  const { stripIgnoredCharacters } = await import('graphql');
  const source = readFileSync(path, 'utf8');
  const shorter = source.replaceAll(/(new TypedDocumentString\(`)([^`]*)(`)/g, (_all, before, text, after) => {
    return `${before}${stripIgnoredCharacters(text)}${after}`;
  });
  writeFileSync(path, shorter);
}

const relayFingerprint = () => fingerprint(relaySources, { except: [relayGenerated] });
const isRelayCompiled = () => readStamp(relayStamp) === relayFingerprint();

/** Compiles into an empty folder, because the compiler keeps old ids in the file of documents; it does not create that file. */
async function compileRelay() {
  const stamp = relayFingerprint();
  rmSync(join(root, relayGenerated), { recursive: true, force: true });
  mkdirSync(join(root, relayGenerated));
  writeFileSync(join(root, relayGenerated, 'documents.json'), '{}');
  await runQuietly(process.execPath, [join(root, 'node_modules/relay-compiler/cli.js')], {
    cwd: join(root, relayFolder),
  });
  writeFileSync(join(root, relayStamp), stamp);
}

const webFingerprint = () => fingerprint(webSources, { except: webExceptions });
const isWebBuilt = () => readStamp(webStamp) === webFingerprint();

async function buildApp() {
  const stamp = webFingerprint();
  if (!areOperationsTyped()) await typeOperations();
  await buildWeb();
  writeFileSync(join(root, webStamp), stamp);
}

/**
 * Runs a script's body. On an error, prints its message without a stack and exits with code 1.
 * @param {() => Promise<unknown>} body
 */
export async function runScript(body) {
  try {
    await body();
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await runScript(() => setUp());
