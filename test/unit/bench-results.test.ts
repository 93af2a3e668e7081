import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { describeResults, places } from '../../bench/support/results.mjs';

const bench = join(import.meta.dirname, '../../bench');

/** The lines without what the formatter changes: the padding of cells and the rule below the head. */
const linesOf = (text: string) =>
  text
    .trim()
    .split('\n')
    .map((line) => line.replaceAll(/ *\| */g, '|').replaceAll(/-+/g, '-'));

it.each(Object.values(places))(
  'the page of the bench shows the last complete results$suffix',
  ({ suffix, markers }) => {
    const isOfGroup = new RegExp(`^[0-9-]{10}${suffix}\\.json$`);
    const newest = readdirSync(join(bench, 'results'))
      .filter((file) => isOfGroup.test(file))
      .sort()
      .at(-1);
    const page = readFileSync(join(bench, 'README.md'), 'utf8');
    const [start = '', end = ''] = markers;
    const section = page.slice(page.indexOf(start) + start.length, page.indexOf(end));
    if (newest === undefined) return expect(section.trim()).toBe('');
    const results = JSON.parse(readFileSync(join(bench, 'results', newest), 'utf8'));
    expect(linesOf(section)).toEqual(linesOf(describeResults(results, newest.replace('.json', ''))));
  },
);
