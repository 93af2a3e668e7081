import { closeAudiences, openAudiences } from './support/audience.mjs';
import { interleave, mapValues } from './support/statistics.mjs';

const messages = 100;

/**
 * One room, 1,000 subscribers, 20 senders: 100 messages at once, and the next 100 once all have received these.
 * @param {import('./support/results.mjs').BenchContext} context
 * @returns {Promise<import('./support/results.mjs').Measurement[]>}
 */
export async function run({ stack, rounds, quick }) {
  const ms = quick ? 1_000 : 4_000;
  const options = { subscribers: 1_000, senders: 20 };
  const audiences = await openAudiences(stack, ['Fairway', 'raw ws', 'Socket.IO'], options);
  const ways = mapValues(audiences, (audience) => () => audience.measure('bursts', ms, messages));
  const { perSecond = {}, cpuMicros = {}, loadMicros = {} } = await interleave(ways, rounds);
  await closeAudiences(audiences);
  return [
    {
      title: 'fan-out in bursts, 20 senders, 100 messages at once',
      unit: 'deliveries/s',
      samples: perSecond,
      bars: [{ against: 'raw ws' }, { against: 'Socket.IO', atLeast: 4 }],
    },
    {
      title: 'fan-out in bursts, server CPU',
      unit: 'µs per delivery',
      samples: cpuMicros,
      bars: [{ against: 'raw ws' }, { against: 'Socket.IO' }],
    },
    { title: 'fan-out in bursts, CPU of the load process', unit: 'µs per delivery', samples: loadMicros, bars: [] },
  ];
}
