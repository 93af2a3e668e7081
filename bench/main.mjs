import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect, parseArgs } from 'node:util';
import { fingerprint, readStamp } from '../scripts/fingerprint.mjs';
import { generate } from '../scripts/generate.mjs';
import { step } from '../scripts/progress.mjs';
import { root, runQuietly } from '../scripts/run-command.mjs';
import { setUp } from '../scripts/setup.mjs';

/**
 * A bench is a file of this folder. Its `run` returns its measurements.
 * @typedef {{ run(context: import('./support/results.mjs').BenchContext): Promise<Measurement[]> }} Bench
 * @typedef {import('./support/results.mjs').Measurement} Measurement
 */

/**
 * `npm run bench -- fanout bursts` runs these two; without names, all run. The results of a group are written if all of it has
 * run: single paths take half an hour, and the others together more than a whole one.
 */
const groups = {
  paths: ['fanout', 'bursts', 'subscribe', 'send', 'reads', 'memory', 'latency', 'growth', 'history', 'services'],
  day: ['day'],
  edges: ['storm', 'overload', 'morning'],
  platform: ['platform'],
  app: ['app'],
  files: ['files'],
};
const benches = Object.values(groups).flat();
const groupNames = /** @type {(keyof typeof groups)[]} */ (Object.keys(groups));

const minRounds = 5;
const seedsSources = ['auth.ts', 'bff.ts', 'gateway.ts', 'nats.ts', 'service.ts', 'schema.prisma', 'tsconfig.json'];

const usage = `npm run bench -- [--rounds 7] [--quick] [--at messages-a-second] [name ...]\nThere are: ${Object.values(
  groups,
)
  .map((group) => group.join(', '))
  .join('; ')}`;

const { values, positionals } = readArguments();
const { quick } = values;
if (values.help) {
  process.stdout.write(`${usage}\n`);
  process.exit();
}
const rounds = Number(values.rounds);
const at = values.at === undefined ? undefined : Number(values.at);
const names = positionals.length > 0 ? positionals : benches;
const unknown = names.filter((name) => !benches.includes(name));
if (unknown.length > 0 || !isCount(rounds) || !isCount(at ?? 1)) {
  const why =
    unknown.length > 0 ? `There is no bench ${unknown.join(', ')}` : '--rounds and --at are whole numbers from 1';
  process.stderr.write(`${why}\n${usage}\n`);
  process.exit(1);
}

await setUp();
await installPeers();

// Dynamic imports, because the build and the packages exist only now.
const { startStack } = await import('./support/stack.mjs');
const { print, write } = await import('./support/results.mjs');
// Every server and load process adds a listener, to end with this process, and there are many.
process.setMaxListeners(0);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1));
const stack = await startStack();
/** @type {Record<string, Measurement[]>} by bench */
const results = {};
try {
  for (const name of names) {
    process.stderr.write(`  ${name} ...\n`);
    const { run } = /** @type {Bench} */ (await import(`./${name}.mjs`));
    const measurements = await run({ stack, rounds, quick, at });
    for (const measurement of measurements) print(measurement);
    results[name] = measurements;
  }
} catch (error) {
  // All processes that still run end with this one.
  process.stderr.write(`${inspect(error)}\n`);
  process.exit(1);
}
await stack.stop();
const isComplete = !quick && at === undefined && rounds >= minRounds;
const written = groupNames.filter((group) => isComplete && groups[group].every((name) => names.includes(name)));
for (const group of written)
  write(
    group,
    groups[group].flatMap((name) => results[name] ?? []),
    rounds,
  );
if (written.length === 0) {
  process.stderr.write(`\nNot written: only all benches of a group with ${minRounds} rounds or more are.\n`);
}
process.exit();

/** @param {number} value */
function isCount(value) {
  return Number.isInteger(value) && value >= 1;
}

function readArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        rounds: { type: 'string', default: '7' },
        quick: { type: 'boolean', default: false },
        at: { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    });
  } catch (error) {
    process.stderr.write(`${/** @type {Error} */ (error).message}\n${usage}\n`);
    process.exit(1);
  }
}

/** Installs the packages that only the peers need and builds the one that is written in TypeScript, if out of date. */
async function installPeers() {
  const packages = ['bench/package-lock.json'];
  await unlessFresh('bench/node_modules/.fingerprint', packages, 'Installing the peers', () => {
    const options = ['--prefix', import.meta.dirname, '--no-fund', '--no-audit', '--no-progress', '--loglevel=error'];
    return runQuietly('npm', ['ci', ...options]);
  });
  const seeds = join(import.meta.dirname, 'peers/seeds');
  const sources = [...packages, 'package-lock.json', ...seedsSources.map((name) => `bench/peers/seeds/${name}`)];
  await unlessFresh('bench/peers/seeds/dist/.fingerprint', sources, 'Building the replaced system', async () => {
    await generate('--config', join(seeds, 'prisma.config.ts'));
    await runQuietly(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', seeds]);
  });
}

/**
 * @param {string} stamp
 * @param {string[]} sources
 * @param {string} what
 * @param {() => Promise<unknown>} run
 */
async function unlessFresh(stamp, sources, what, run) {
  const wanted = fingerprint(sources);
  if (readStamp(stamp) === wanted) return;
  await step(what, run);
  writeFileSync(join(root, stamp), wanted);
}
