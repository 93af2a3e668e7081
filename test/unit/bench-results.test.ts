import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { describeResults } from '../../bench/support/results.mjs';

const bench = join(import.meta.dirname, '../../bench');

/** The lines without what the formatter changes: the padding of cells and the rule below the head. */
const linesOf = (text: string) =>
  text
    .trim()
    .split('\n')
    .map((line) => line.replaceAll(/ *\| */g, '|').replaceAll(/-+/g, '-'));

it('the page of the bench shows the results of its last complete run', () => {
  const files = readdirSync(join(bench, 'results')).filter((file) => file.endsWith('.json'));
  const newest = files.sort().at(-1) ?? '';
  const page = readFileSync(join(bench, 'README.md'), 'utf8');
  const section = /<!-- results -->([\s\S]*)<!-- \/results -->/.exec(page)?.[1] ?? '';
  const results = JSON.parse(readFileSync(join(bench, 'results', newest), 'utf8'));
  expect(linesOf(section)).toEqual(linesOf(describeResults(results)));
});
