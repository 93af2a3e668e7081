import { broadcastPeers, closeAudiences, interpreted, openAudiences } from './support/audience.mjs';
import { interleave, mapValues } from './support/statistics.mjs';

/** @typedef {import('./support/results.mjs').Measurement} Measurement */

/**
 * One room, 1,000 subscribers, one message at a time: the next one is sent once all have received it.
 * @param {import('./support/results.mjs').BenchContext} context
 * @returns {Promise<Measurement[]>}
 */
export async function run({ stack, rounds, quick }) {
  const ms = quick ? 1_000 : 4_000;
  const names = ['Fairway', interpreted, ...Object.keys(broadcastPeers)];
  const audiences = await openAudiences(stack, names, { subscribers: 1_000 });
  const ways = mapValues(audiences, (audience) => () => audience.measure('oneByOne', ms));
  const { perSecond = {}, cpuMicros = {}, loadMicros = {} } = await interleave(ways, rounds);
  await closeAudiences(audiences);
  return [
    {
      title: 'fan-out, 1,000 subscribers, one by one',
      unit: 'deliveries/s',
      samples: perSecond,
      bars: [
        { against: interpreted },
        { against: 'raw ws', atLeast: 0.9 },
        { against: 'Socket.IO', atLeast: 1.2 },
        { against: 'yoga + graphql-ws', atLeast: 5 },
        { against: 'mercurius' },
      ],
    },
    {
      title: 'fan-out, server CPU',
      unit: 'µs per delivery',
      samples: cpuMicros,
      bars: [
        { against: interpreted },
        { against: 'raw ws' },
        { against: 'Socket.IO', atMost: 0.85 },
        { against: 'yoga + graphql-ws' },
        { against: 'mercurius' },
      ],
    },
    { title: 'fan-out, CPU of the load process', unit: 'µs per delivery', samples: loadMicros, bars: [] },
  ];
}
