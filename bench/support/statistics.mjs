/**
 * @typedef {object} Summary
 * @property {number} min
 * @property {number} median
 * @property {number} max
 */

/** @param {readonly number[]} samples @returns {Summary} */
export function summarize(samples) {
  const sorted = [...samples].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const at = (/** @type {number} */ index) => sorted[index] ?? Number.NaN;
  const median = sorted.length % 2 === 1 ? at(Math.floor(middle)) : (at(middle - 1) + at(middle)) / 2;
  return { min: at(0), median, max: at(sorted.length - 1) };
}

/**
 * Takes the samples of all ways round by round, and begins each round with another way: a disturbance of the machine affects
 * all of them. A first round warms up and does not count.
 * @param {Record<string, () => Promise<Record<string, number>>>} ways
 * @param {number} rounds
 * @param {{ warmUp?: boolean }} [options] false for ways that begin with a fresh process
 * @returns {Promise<Record<string, Record<string, number[]>>>} by metric, then by way
 */
export async function interleave(ways, rounds, { warmUp = true } = {}) {
  /** @type {Record<string, Record<string, number[]>>} */
  const samples = {};
  const names = Object.keys(ways);
  for (let round = warmUp ? -1 : 0; round < rounds; round += 1) {
    const first = (round + 1) % names.length;
    for (const name of [...names.slice(first), ...names.slice(0, first)]) {
      const metrics = (await ways[name]?.()) ?? {};
      if (round < 0) continue;
      for (const [metric, value] of Object.entries(metrics)) {
        samples[metric] ??= Object.fromEntries(names.map((name) => [name, []]));
        samples[metric][name]?.push(value);
      }
    }
  }
  return samples;
}

/**
 * @template T, R
 * @param {Record<string, T>} record
 * @param {(value: T, name: string) => R} map
 * @returns {Record<string, R>}
 */
export const mapValues = (record, map) =>
  Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value, name)]));

/** @param {number} value */
export const format = (value) =>
  value.toLocaleString('en', value >= 100 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 3 });
