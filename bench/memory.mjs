import { openAudience } from './support/audience.mjs';
import { inspectorArgs, measureMemory } from './support/retained-memory.mjs';
import { interleave } from './support/statistics.mjs';

/**
 * Measures the memory that one more idle socket with a subscription costs a server: the difference between few and many,
 * after full collections, each round in a fresh process.
 * @param {import('./support/results.mjs').BenchContext} context
 * @returns {Promise<import('./support/results.mjs').Measurement[]>}
 */
export async function run({ stack, rounds, quick }) {
  const [few, more] = quick ? [200, 800] : [1_000, 4_000];
  /** @param {string} name */
  const measure = async (name) => {
    const audience = await openAudience(stack, name, { subscribers: few, nodeArgs: inspectorArgs });
    const before = await measureMemory(audience.server);
    await audience.grow(more);
    const after = await measureMemory(audience.server);
    await audience.stop();
    return {
      resident: (after.resident - before.resident) / more / 1_024,
      retained: (after.retained - before.retained) / more / 1_024,
    };
  };
  const ways = { Fairway: () => measure('Fairway'), 'Socket.IO': () => measure('Socket.IO') };
  const { resident = {}, retained = {} } = await interleave(ways, rounds, { warmUp: false });
  return [
    {
      title: 'memory per idle subscribed socket, resident set',
      unit: 'KB',
      samples: resident,
      bars: [{ against: 'Socket.IO', atMost: 1 }],
    },
    {
      title: 'memory per idle subscribed socket, heap and buffers',
      unit: 'KB',
      samples: retained,
      bars: [{ against: 'Socket.IO' }],
    },
  ];
}
