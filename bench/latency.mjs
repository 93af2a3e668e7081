import { documents } from './support/documents.mjs';
import { numbers, seedRooms, seedUsers, tokenOf } from './support/seed.mjs';
import { startFairway } from './support/server-process.mjs';
import { interleave } from './support/statistics.mjs';
import { startWorker } from './support/worker.mjs';

const clients = 200;
const perSecond = 100;
const firstUser = 1_000;

/**
 * Measures the time from the send of a message to each receipt: one room, 200 clients on two instances, and members on both
 * send in turn.
 * @param {import('./support/results.mjs').BenchContext} context
 * @returns {Promise<import('./support/results.mjs').Measurement[]>}
 */
export async function run({ stack, rounds, quick }) {
  const ms = quick ? 2_000 : 10_000;
  const database = await stack.createDatabase();
  const userIds = numbers(firstUser, clients);
  await seedUsers(database, userIds);
  const [roomId = ''] = await seedRooms(database, { memberIds: userIds });
  const tokens = await Promise.all(userIds.map(tokenOf));
  const instances = [await startFairway(stack, database.url), await startFairway(stack, database.url)];
  const load = startWorker('audience');
  for (const [index, { port }] of instances.entries()) {
    const own = tokens.slice((index * clients) / 2, ((index + 1) * clients) / 2);
    const target = { port, dialect: 'graphql', subscription: documents.roomEvents, readyMark: 'RoomReady' };
    const places = own.map((token) => ({ token, roomIds: [roomId] }));
    await load.call('connect', target, places, own.slice(0, 10));
  }
  await load.call('subscribe');
  await load.call('check', 3);
  const samples = await interleave({ Fairway: () => load.call('latency', ms, roomId, perSecond) }, rounds);
  await load.stop();
  for (const instance of instances) await instance.stop();
  await database.drop();
  return [
    {
      title: 'send to receive, 100 messages a second, 200 clients on 2 instances',
      unit: 'ms',
      samples: Object.fromEntries(Object.entries(samples).map(([name, { Fairway = [] }]) => [name, Fairway])),
      bars: [{ of: 'p99', against: 'p50', atMost: 3 }],
    },
  ];
}
