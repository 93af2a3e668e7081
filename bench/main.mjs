import { setUp } from '../scripts/setup.mjs';

/**
 * `npm run bench -- services`: each name is a file of this folder, whose `run` measures and prints. Without names, all.
 * @type {Record<string, () => Promise<{ run(): Promise<void> }>>}
 */
const benches = { services: () => import('./services.mjs') };

const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(benches);
const unknown = names.filter((name) => !(name in benches));
if (unknown.length > 0) {
  process.stderr.write(`There is no bench ${unknown.join(', ')}. There are: ${Object.keys(benches).join(', ')}\n`);
  process.exit(1);
}
await setUp();
for (const name of names) {
  const { run } = await /** @type {() => Promise<{ run(): Promise<void> }>} */ (benches[name])();
  await run();
}
process.exit();
