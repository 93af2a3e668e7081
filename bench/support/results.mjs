import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { drawChart } from './chart.mjs';
import { format, summarize } from './statistics.mjs';

/**
 * The arguments of a bench.
 * @typedef {object} BenchContext
 * @property {import('./stack.mjs').Stack} stack
 * @property {number} rounds the number of rounds that count
 * @property {boolean} quick small sizes, for a trial
 * @property {number | undefined} at the only rate to run the day at, in messages a second
 */

/**
 * The ratio of medians to reach, or the median itself if it is against nobody; without a limit it is only printed.
 * @typedef {object} Bar
 * @property {string} [of] 'Fairway' by default
 * @property {string} [against]
 * @property {number} [atLeast]
 * @property {number} [atMost]
 */

/**
 * @typedef {object} Measurement
 * @property {string} title
 * @property {string} unit
 * @property {Record<string, number[]>} samples one for each round, by peer
 * @property {Bar[]} bars
 * @property {Record<string, string>} [missing] why a peer has no figures
 * @property {string} [headline] its title in the picture that shows the day at a glance
 */

/**
 * A complete run, as it is in a file of the folder results.
 * @typedef {object} Results
 * @property {string} date
 * @property {{ cpu: string, cores: number, memoryGb: number, os: string, node: string }} machine
 * @property {number} rounds
 * @property {Measurement[]} measurements
 */

/**
 * @typedef {object} Verdict
 * @property {Bar} bar
 * @property {number | undefined} ratio or the median; undefined if a figure is missing
 * @property {boolean | undefined} reached undefined if there is no bar or no figure
 */

const folder = join(import.meta.dirname, '../results');
const readme = join(import.meta.dirname, '../README.md');

/** Where the results of a group of benches are: the end of the names of their files, and their section of the README. */
export const places = {
  paths: { suffix: '', markers: ['<!-- results -->', '<!-- /results -->'] },
  day: { suffix: '-day', markers: ['<!-- results of the day -->', '<!-- /results of the day -->'] },
  edges: { suffix: '-edges', markers: ['<!-- results of the edges -->', '<!-- /results of the edges -->'] },
  platform: { suffix: '-platform', markers: ['<!-- results of the platform -->', '<!-- /results of the platform -->'] },
  app: { suffix: '-app', markers: ['<!-- results of the app -->', '<!-- /results of the app -->'] },
  files: { suffix: '-files', markers: ['<!-- results of files -->', '<!-- /results of files -->'] },
};

/** @typedef {keyof typeof places} Group */

/** @param {Measurement} measurement @returns {Verdict[]} */
export const judge = ({ samples, bars }) =>
  bars.map((bar) => {
    const own = samples[bar.of ?? 'Fairway'];
    const other = bar.against === undefined ? [1] : samples[bar.against];
    if (own === undefined || other === undefined) return { bar, ratio: undefined, reached: undefined };
    const ratio = summarize(own).median / summarize(other).median;
    if (bar.atLeast !== undefined) return { bar, ratio, reached: ratio >= bar.atLeast };
    if (bar.atMost !== undefined) return { bar, ratio, reached: ratio <= bar.atMost };
    return { bar, ratio, reached: undefined };
  });

/** @param {Measurement} measurement */
export function print(measurement) {
  const lines = [`\n${measurement.title} (${measurement.unit})`];
  for (const [name, samples] of Object.entries(measurement.samples)) {
    const { min, median, max } = summarize(samples);
    lines.push(`  ${name.padEnd(34)} ${[min, median, max].map((value) => format(value).padStart(10)).join('')}`);
  }
  for (const [name, why] of Object.entries(measurement.missing ?? {})) lines.push(`  ${name}: no figure. ${why}`);
  for (const verdict of judge(measurement)) lines.push(`  ${describe(verdict)}`);
  process.stdout.write(`${lines.join('\n')}\n`);
}

/** @param {Verdict} verdict */
function describe({ bar, ratio, reached }) {
  const what = [bar.of ?? 'Fairway', ...(bar.against === undefined ? [] : [bar.against])].join(' : ');
  if (ratio === undefined) return `${what}: no figure`;
  return `${what} = ${formatRatio(ratio)}${reached === undefined ? '' : `, ${barText(bar)}: ${reached ? 'reached' : 'NOT reached'}`}`;
}

/** @param {Verdict} verdict */
function ratioText({ bar: { of, against }, ratio }) {
  if (ratio === undefined || against === undefined) return '';
  return `${of === undefined ? '' : `${of} to this: `}${formatRatio(ratio)}`;
}

/** @param {Bar} bar */
function barText({ atLeast, atMost }) {
  if (atLeast !== undefined) return `${atLeast} or more`;
  return atMost === undefined ? '' : `${atMost} or less`;
}

/** @param {number} ratio */
const formatRatio = (ratio) => ratio.toLocaleString('en', { maximumFractionDigits: ratio >= 10 ? 0 : 2 });

/**
 * Writes the results of a complete run of a group: the samples as JSON, the table of the README, the chart.
 * @param {Group} group
 * @param {Measurement[]} measurements
 * @param {number} rounds
 */
export function write(group, measurements, rounds) {
  const { suffix, markers } = places[group];
  mkdirSync(folder, { recursive: true });
  const date = new Date().toISOString().slice(0, 10);
  const machine = {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    os: `${process.platform} ${release()}`,
    node: process.version,
  };
  const verdicts = measurements.map((measurement) => ({ ...measurement, verdicts: judge(measurement) }));
  const json = JSON.stringify({ date, machine, rounds, measurements: verdicts }, null, 2);
  const name = `${date}${suffix}`;
  writeFileSync(join(folder, `${name}.json`), `${json}\n`);
  writeFileSync(join(folder, `${name}.svg`), drawChart(measurements));
  const headlines = measurements.flatMap(({ headline, ...rest }) =>
    headline === undefined ? [] : [{ ...rest, title: headline }],
  );
  // Always under the same name, so that other pages can show it.
  if (headlines.length > 0) writeFileSync(join(folder, `${group}.svg`), drawChart(headlines));

  const [start = '', end = ''] = markers;
  const text = readFileSync(readme, 'utf8');
  const [before, rest = ''] = text.split(start);
  const section = describeResults({ date, machine, rounds, measurements }, name);
  writeFileSync(readme, `${before}${start}\n\n${section}\n\n${end}${rest.split(end)[1]}`);
}

/**
 * The section of the README that shows a complete run, before it is formatted.
 * @param {Results} results
 * @param {string} name of its files
 */
export function describeResults({ date, machine, rounds, measurements }, name = date) {
  const { cpu, cores, memoryGb, node } = machine;
  return [
    `Run on ${date}: ${cpu}, ${cores} cores, ${memoryGb} GB, Node ${node}, ${rounds} rounds. All samples: [results/${name}.json](results/${name}.json).`,
    '',
    `![Fairway beside its peers](results/${name}.svg)`,
    '',
    ...tableRows(measurements),
  ].join('\n');
}

/** @param {Measurement[]} measurements */
function tableRows(measurements) {
  const rows = [
    '| bench | who | min | median | max | Fairway : peer | bar | reached |',
    '| --- | --- | --: | --: | --: | --: | --- | --- |',
  ];
  for (const measurement of measurements) {
    const { title, unit, samples, missing = {} } = measurement;
    let name = `${title}, ${unit}`;
    const verdicts = judge(measurement);
    for (const [who, values] of Object.entries(samples)) {
      const { min, median, max } = summarize(values);
      // A bar stands beside the peer or, if it is against nobody, beside its own figure.
      const beside = verdicts.filter(({ bar }) => (bar.against ?? bar.of ?? 'Fairway') === who);
      const cells = [
        name,
        who,
        ...[min, median, max].map(format),
        beside.map(ratioText).join(' '),
        beside.map(({ bar }) => barText(bar)).join('; '),
        beside.map(({ reached }) => (reached === undefined ? '' : reached ? 'yes' : '**no**')).join('; '),
      ];
      rows.push(`| ${cells.join(' | ')} |`);
      name = '';
    }
    for (const [who, why] of Object.entries(missing)) rows.push(`| ${name} | ${who} | | | | | | no figure: ${why} |`);
  }
  return rows;
}
