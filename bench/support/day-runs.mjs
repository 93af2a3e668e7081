import { planDay } from './day-profile.mjs';
import { openSide, peerName } from './day-sides.mjs';
import { findLimit, latencyLimitMs, measureStep, printStep, warmUp } from './day-steps.mjs';
import { mapValues } from './statistics.mjs';

/** @typedef {import('./day-profile.mjs').Profile} Profile */
/** @typedef {import('./day-sides.mjs').Side} Side */
/** @typedef {import('./day-steps.mjs').Step} Step */
/** @typedef {import('./results.mjs').BenchContext} BenchContext */
/** @typedef {import('./results.mjs').Measurement} Measurement */

/**
 * Runs a day on the system that Fairway replaces and on Fairway, one after the other, at a rising number of messages a second
 * until the limit of each is found. Each round starts both anew.
 * @param {BenchContext} context
 * @param {Profile} profile
 * @param {{ limit?: number, cpu?: number, p99?: number, bytes?: number }} bars
 * @returns {Promise<Measurement[]>}
 */
export async function runDay({ stack, rounds, quick, at }, profile, bars) {
  const ms = quick ? 4_000 : 10_000;
  const day = planDay(profile);
  /** @type {Record<string, number[]>} */
  const limits = { Fairway: [], [peerName]: [] };
  /** At the peer's limit. @type {Record<string, Step[]>} */
  const steps = { Fairway: [], [peerName]: [] };
  /** @type {Record<string, number[]>} */
  const wrong = { Fairway: [], [peerName]: [] };
  for (let round = 0; round < rounds; round += 1) {
    // The peer first, because Fairway is also measured at the peer's limit.
    let peerLimit = Number.NaN;
    for (const name of [peerName, 'Fairway']) {
      const side = await openSide(stack, name, day);
      await warmUp(side);
      const found = at === undefined ? await findLimit(side, ms) : { limit: at, steps: [] };
      if (name === peerName) peerLimit = found.limit;
      limits[name]?.push(found.limit);
      const same =
        found.steps.find(({ perSecond }) => perSecond === peerLimit) ?? (await measureAt(side, peerLimit, ms));
      steps[name]?.push(same);
      const all = found.steps.includes(same) ? found.steps : [...found.steps, same];
      wrong[name]?.push(all.reduce((sum, step) => sum + Object.values(step.wrong).reduce((a, b) => a + b, 0), 0));
      await side.stop();
    }
  }
  /** @param {string} what @param {string} unit @param {(step: Step) => number} read @param {number} [atMost] @returns {Measurement} */
  const atPeerLimit = (what, unit, read, atMost) => ({
    title: `${profile.name}, ${at === undefined ? `at the limit of ${peerName}` : `${at} messages a second`}, ${what}`,
    unit,
    samples: mapValues(steps, (taken) => taken.map(read)),
    bars: [{ against: peerName, ...(atMost === undefined ? {} : { atMost }) }],
  });
  const p99 =
    (/** @type {string} */ kind) =>
    (/** @type {Step} */ { times }) =>
      times[kind]?.p99 ?? Number.NaN;
  /** @type {Measurement} */
  const limit = {
    title: `${profile.name}, messages a second with 99 % of receipts within ${latencyLimitMs} ms`,
    ...(bars.limit === undefined ? {} : { headline: `Messages a second on a day of ${profile.name}, in time` }),
    unit: 'messages/s',
    samples: limits,
    bars: [{ against: peerName, ...(bars.limit === undefined ? {} : { atLeast: bars.limit }) }],
  };
  return [
    ...(at === undefined ? [limit] : []),
    {
      title: `${profile.name}, receipts lost, repeated, misordered or not stored, in all steps`,
      unit: 'receipts',
      samples: wrong,
      bars: [{ atMost: 0 }],
    },
    {
      ...atPeerLimit('CPU of all processes', 'ms a message', ({ totalCpuMs }) => totalCpuMs, bars.cpu),
      ...(bars.cpu === undefined ? {} : { headline: 'CPU of all processes for a message with all that goes with it' }),
    },
    atPeerLimit('statements', 'a message', ({ statements }) => statements ?? Number.NaN),
    atPeerLimit('p99 of receipts', 'ms', p99('receive')),
    {
      ...atPeerLimit('p99 of room lists', 'ms', p99('list'), bars.p99),
      ...(bars.p99 === undefined ? {} : { headline: `Room list at the limit of ${peerName}, 99 of 100 within` }),
    },
    atPeerLimit('p99 of opened rooms', 'ms', p99('open'), bars.p99),
    atPeerLimit('frame of a delivered message', 'bytes', ({ messageBytes }) => messageBytes, bars.bytes),
    atPeerLimit('resident set of its own processes', 'MB', ({ residentMb }) => residentMb),
  ];
}

/** @param {Side} side @param {number} perSecond @param {number} ms */
export async function measureAt(side, perSecond, ms) {
  const step = await measureStep(side, perSecond, ms);
  printStep(side.name, step);
  return step;
}
