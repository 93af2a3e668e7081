import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect, parseArgs } from 'node:util';
import { fingerprint, readStamp } from '../scripts/fingerprint.mjs';
import { step } from '../scripts/progress.mjs';
import { root, runQuietly } from '../scripts/run-command.mjs';
import { setUp } from '../scripts/setup.mjs';

/**
 * A bench is a file of this folder. Its `run` returns its measurements.
 * @typedef {{ run(context: import('./support/results.mjs').BenchContext): Promise<Measurement[]> }} Bench
 * @typedef {import('./support/results.mjs').Measurement} Measurement
 */

/** `npm run bench -- fanout bursts` runs these two. Without names, all run, and the results are written. */
const benches = ['fanout', 'bursts', 'subscribe', 'send', 'reads', 'memory', 'latency', 'growth', 'services'];

const minRounds = 5;

const usage = `npm run bench -- [--rounds 7] [--quick] [name ...]\nThere are: ${benches.join(', ')}`;

const { values, positionals } = readArguments();
const { quick } = values;
if (values.help) {
  process.stdout.write(`${usage}\n`);
  process.exit();
}
const rounds = Number(values.rounds);
const names = positionals.length > 0 ? positionals : benches;
const unknown = names.filter((name) => !benches.includes(name));
if (unknown.length > 0 || !Number.isInteger(rounds) || rounds < 1) {
  const why = unknown.length > 0 ? `There is no bench ${unknown.join(', ')}` : '--rounds is a whole number from 1';
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
/** @type {Measurement[]} */
const results = [];
try {
  for (const name of names) {
    process.stderr.write(`  ${name} ...\n`);
    const { run } = /** @type {Bench} */ (await import(`./${name}.mjs`));
    const measurements = await run({ stack, rounds, quick });
    for (const measurement of measurements) print(measurement);
    results.push(...measurements);
  }
} catch (error) {
  // All processes that still run end with this one.
  process.stderr.write(`${inspect(error)}\n`);
  process.exit(1);
}
await stack.stop();
if (positionals.length === 0 && !quick && rounds >= minRounds) write(results, rounds);
else process.stderr.write(`\nNot written: only a run of all benches with ${minRounds} rounds or more is.\n`);
process.exit();

function readArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        rounds: { type: 'string', default: '7' },
        quick: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
  } catch (error) {
    process.stderr.write(`${/** @type {Error} */ (error).message}\n${usage}\n`);
    process.exit(1);
  }
}

/** Installs the packages that only the peers need, if they are missing or out of date. */
async function installPeers() {
  const stamp = 'bench/node_modules/.fingerprint';
  const wanted = fingerprint(['bench/package-lock.json']);
  if (readStamp(stamp) === wanted) return;
  const options = ['--prefix', import.meta.dirname, '--no-fund', '--no-audit', '--no-progress', '--loglevel=error'];
  await step('Installing the peers', () => runQuietly('npm', ['ci', ...options]));
  writeFileSync(join(root, stamp), wanted);
}
