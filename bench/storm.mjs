import { planDay, profiles } from './support/day-profile.mjs';
import { compareWithStored, openSide, peerName, tokensOf } from './support/day-sides.mjs';
import { findLimit, warmUp } from './support/day-steps.mjs';
import { format, mapValues } from './support/statistics.mjs';

/** @typedef {import('./support/day-sides.mjs').Side} Side */
/** @typedef {{ allLiveS: number, neverLive: number, lost: number, repeated: number }} Storm */

const missedEntries = 200;

/**
 * The day of 400 people at half of the rate that each system stands. Everybody loses the connection, 200 messages are written
 * in each room, and everybody returns at once while others go on writing.
 * @param {import('./support/results.mjs').BenchContext} context
 * @returns {Promise<import('./support/results.mjs').Measurement[]>}
 */
export async function run({ stack, rounds, quick, at }) {
  const day = planDay(profiles.club);
  const names = [peerName, 'Fairway'];
  /** @type {Record<string, number>} */
  const rates = {};
  /** @type {Record<string, Storm[]>} */
  const storms = { Fairway: [], [peerName]: [] };
  for (let round = 0; round < rounds; round += 1) {
    for (const name of names) {
      const side = await openSide(stack, name, day);
      await warmUp(side);
      rates[name] ??= at ?? Math.max(1, Math.round((await findLimit(side, quick ? 4_000 : 10_000)).limit / 2));
      storms[name]?.push(await raise(side, rates[name], quick ? 6_000 : 15_000));
      await side.stop();
    }
  }
  /** @param {string} what @param {string} unit @param {(storm: Storm) => number} read @param {import('./support/results.mjs').Bar} bar */
  const measurement = (what, unit, read, bar) => ({
    title: `storm of ${profiles.club.name} at ${at ?? 'half of the'} messages a second${at === undefined ? ' that each stands' : ''}, ${what}`,
    unit,
    samples: mapValues(storms, (list) => list.map(read)),
    bars: [bar],
  });
  return [
    measurement('until all are live', 's', ({ allLiveS }) => allLiveS, { atMost: 5 }),
    measurement('never live', 'devices', ({ neverLive }) => neverLive, { atMost: 0 }),
    {
      ...measurement('missed', 'entries', ({ lost }) => lost, { atMost: 0 }),
      headline: `Messages missed by ${profiles.club.name} who reconnect at once`,
    },
    measurement('repeated', 'entries', ({ repeated }) => repeated, { atMost: 0 }),
  ];
}

/**
 * @param {Side} side
 * @param {number} perSecond
 * @param {number} ms
 * @returns {Promise<Storm>}
 */
async function raise(side, perSecond, ms) {
  await side.load.call('miss', missedEntries, await tokensOf(side.day));
  // The replaced system stores what was written while everybody was away.
  await compareWithStored(side);
  const before = side.cpu();
  const { allLiveMs, neverLive, live, refusals, reasons } = await side.load.call('storm', perSecond, ms);
  const cpu = Object.entries(side.cpu()).map(([name, seconds]) => `${name} ${format(seconds - (before[name] ?? 0))}`);
  const wrong = await compareWithStored(side);
  const lines = [
    `  ${side.name}, ${perSecond}/s: all live after ${format(allLiveMs)} ms, half of them after ${format(live.p50)} ms; ${neverLive} never; ${refusals} attempts or operations failed`,
    `    CPU in s: ${cpu.join(', ')}`,
    `    wrong: ${Object.entries(wrong)
      .map(([what, count]) => `${what} ${format(count)}`)
      .join(', ')}`,
    ...reasons.map((/** @type {[string, number]} */ [reason, count]) => `      ${count} x ${reason}`),
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
  return { allLiveS: allLiveMs / 1_000, neverLive, lost: wrong.lost, repeated: wrong.repeated };
}
