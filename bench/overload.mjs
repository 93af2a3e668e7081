import { planDay, profiles } from './support/day-profile.mjs';
import { compareWithStored, openSide } from './support/day-sides.mjs';
import { findLimit, latencyLimitMs, warmUp } from './support/day-steps.mjs';
import { format, mapValues } from './support/statistics.mjs';

/** @typedef {import('./support/day-sides.mjs').Side} Side */
/** @typedef {{ delayP99: number, delayMax: number, untold: number, lost: number, recoveredP99: number, refused: number }} Overload */

const factor = 2;
const recoveryMs = 5_000;

/**
 * The day of 400 people at twice the rate that Fairway stands, and then at half of it at once: how long a committed message
 * takes to a client, what is refused and how, and how soon all is as before.
 * @param {import('./support/results.mjs').BenchContext} context
 * @returns {Promise<import('./support/results.mjs').Measurement[]>}
 */
export async function run({ stack, rounds, quick, at }) {
  const day = planDay(profiles.club);
  let limit = at;
  /** @type {Overload[]} */
  const overloads = [];
  for (let round = 0; round < rounds; round += 1) {
    const side = await openSide(stack, 'Fairway', day);
    await warmUp(side);
    limit ??= (await findLimit(side, quick ? 4_000 : 10_000)).limit;
    overloads.push(await overload(side, limit, quick ? 15_000 : 60_000));
    await side.stop();
  }
  const what = `${profiles.club.name}, twice ${at === undefined ? 'the limit' : `${at} messages a second`}`;
  /** @param {string} name @param {string} unit @param {(overload: Overload) => number} read @param {number} [atMost] */
  const measurement = (name, unit, read, atMost) => ({
    title: `${what}, ${name}`,
    unit,
    samples: mapValues({ Fairway: overloads }, (list) => list.map(read)),
    bars: atMost === undefined ? [] : [{ atMost }],
  });
  return [
    measurement('p99 from commit to client', 's', ({ delayP99 }) => delayP99, 2),
    measurement('the longest time from commit to client', 's', ({ delayMax }) => delayMax),
    measurement('sends refused with a time to wait', '%', ({ refused }) => refused),
    measurement('other failures', 'operations', ({ untold }) => untold, 0),
    measurement('receipts lost, repeated or misordered', 'receipts', ({ lost }) => lost, 0),
    measurement(
      `p99 of receipts from ${recoveryMs / 1_000} s after it`,
      'ms',
      ({ recoveredP99 }) => recoveredP99,
      latencyLimitMs,
    ),
  ];
}

/**
 * @param {Side} side
 * @param {number} limit
 * @param {number} ms
 * @returns {Promise<Overload>}
 */
async function overload(side, limit, ms) {
  const calm = { perSecond: Math.max(1, Math.round(limit / 2)), ms: 3 * recoveryMs };
  const seen = await side.load.call('overload', { perSecond: limit * factor, ms }, calm, recoveryMs);
  const wrong = await compareWithStored(side);
  const { times, messages, refusals, told, closes, unanswered, lateness, reasons } = seen;
  const untold = refusals - told + closes + unanswered;
  const lines = [
    `  ${side.name}, ${limit * factor}/s: ${format((told / messages) * 100)} % refused with a time to wait, ${untold} other failures`,
    `    ms p50/p99/max: ${['delivery', 'receive', 'ack', 'recovered'].map((kind) => `${kind} ${['p50', 'p99', 'max'].map((share) => format(times[kind][share])).join('/')}`).join(', ')}; the load began ${format(lateness.p99)} late`,
    `    wrong: ${Object.entries(wrong)
      .map(([name, count]) => `${name} ${format(count)}`)
      .join(', ')}`,
    ...reasons.map((/** @type {[string, number]} */ [reason, count]) => `      ${count} x ${reason}`),
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
  return {
    delayP99: times.delivery.p99 / 1_000,
    delayMax: times.delivery.max / 1_000,
    refused: (told / messages) * 100,
    untold,
    lost: Object.values(wrong).reduce((sum, count) => sum + count, 0),
    recoveredP99: times.recovered.p99,
  };
}
