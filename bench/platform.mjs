import { planDay, profiles } from './support/day-profile.mjs';
import { measureAt, runDay } from './support/day-runs.mjs';
import { openSide } from './support/day-sides.mjs';

/** @typedef {import('./support/results.mjs').BenchContext} BenchContext */
/** @typedef {import('./support/results.mjs').Measurement} Measurement */

/** Statements of a day with few people and one with many are compared at a rate that all sides stand. */
const countedPerSecond = 20;

/**
 * Runs the day of 2,000 people, and compares its statements with those of a small club.
 * @param {BenchContext} context
 * @returns {Promise<Measurement[]>}
 */
export async function run(context) {
  return [...(await runDay(context, profiles.platform, {})), await countStatements(context)];
}

/**
 * Counts Fairway's statements on days with few people and with many, which must not differ.
 * @param {BenchContext} context
 * @returns {Promise<Measurement>}
 */
async function countStatements({ stack, rounds, quick }) {
  const { smallClub, platform } = profiles;
  /** @type {Record<string, number[]>} */
  const samples = { [smallClub.name]: [], [platform.name]: [] };
  for (let round = 0; round < rounds; round += 1) {
    for (const profile of [smallClub, platform]) {
      const side = await openSide(stack, 'Fairway', planDay(profile));
      const { statements } = await measureAt(side, countedPerSecond, quick ? 4_000 : 10_000);
      samples[profile.name]?.push(statements ?? Number.NaN);
      await side.stop();
    }
  }
  return {
    title: `Fairway, ${countedPerSecond} messages a second, statements`,
    unit: 'a message',
    samples,
    bars: [
      { of: smallClub.name, atMost: 3 },
      { of: platform.name, atMost: 3 },
      { of: platform.name, against: smallClub.name, atMost: 1.1 },
    ],
  };
}
