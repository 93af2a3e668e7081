import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { step } from '../scripts/progress.mjs';
import { runQuietly } from '../scripts/run-command.mjs';
import { setUp } from '../scripts/setup.mjs';

/**
 * `npm run bench -- fanout bursts`: each name is a file of this folder. Without names, all, and then the results are
 * written. A bench answers with its measurements, or prints by itself.
 * @typedef {{ run(context: any): Promise<import('./support/results.mjs').Measurement[] | void> }} Bench
 * @type {Record<string, () => Promise<Bench>>}
 */
const benches = {
  fanout: () => import('./fanout.mjs'),
  bursts: () => import('./bursts.mjs'),
  subscribe: () => import('./subscribe.mjs'),
  send: () => import('./send.mjs'),
  reads: () => import('./reads.mjs'),
  memory: () => import('./memory.mjs'),
  latency: () => import('./latency.mjs'),
  growth: () => import('./growth.mjs'),
};

const minRounds = 5;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: 'string', default: '7' }, quick: { type: 'boolean', default: false } },
});
const { quick } = values;
const rounds = Number(values.rounds);
const names = positionals.length > 0 ? positionals : Object.keys(benches);
const unknown = names.filter((name) => !(name in benches));
if (unknown.length > 0 || !Number.isInteger(rounds) || rounds < 1) {
  const why = unknown.length > 0 ? `There is no bench ${unknown.join(', ')}` : '--rounds is a whole number from 1';
  process.stderr.write(`${why}. There are: ${Object.keys(benches).join(', ')}\n`);
  process.exit(1);
}

await setUp();
if (!existsSync(join(import.meta.dirname, 'node_modules/.package-lock.json'))) {
  const prefix = ['--prefix', import.meta.dirname, '--no-fund', '--no-audit', '--loglevel=error'];
  await step('Installing the peers', () => runQuietly('npm', ['ci', ...prefix]));
}

// What they import exists only now.
const { startStack } = await import('./support/stack.mjs');
const { print, write } = await import('./support/results.mjs');
const stack = await startStack();
const results = [];
try {
  for (const name of names) {
    process.stderr.write(`  ${name} ...\n`);
    const { run } = await /** @type {() => Promise<Bench>} */ (benches[name])();
    const measurements = (await run({ stack, rounds, quick })) ?? [];
    for (const measurement of measurements) print(measurement);
    results.push(...measurements);
  }
} finally {
  await stack.stop();
}
if (positionals.length === 0 && !quick && rounds >= minRounds) write(results, rounds);
else process.stderr.write(`\nNot written: only a run of all benches with ${minRounds} rounds or more is.\n`);
process.exit();
