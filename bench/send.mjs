import { numbers, seedRooms, seedUsers, tokenOf } from './support/seed.mjs';
import { startFairway, startPeer } from './support/server-process.mjs';
import { interleave, mapValues } from './support/statistics.mjs';
import { startWorker } from './support/worker.mjs';

/** @typedef {import('./support/stack.mjs').Database} Database */
/** @typedef {import('./support/server-process.mjs').ServerProcess} ServerProcess */
/** @typedef {(ms: number) => Promise<{ perSecond: number, p99: number }>} Send */

const peerName = 'yoga + Prisma array transaction';
const concurrency = 64;
const coldRooms = 100;
const userIds = numbers(1_000, concurrency);

const loads = {
  hot: { title: 'sendMessage over WebSocket, 64 concurrent, one hot room', atLeast: 10 },
  http: { title: 'sendMessage over HTTP, 64 concurrent, one hot room', atLeast: 4 },
  spread: { title: 'sendMessage over WebSocket, 64 concurrent, 100 rooms', atLeast: 6 },
};

/**
 * Measures sends over 64 connections of 64 members, each with one unanswered message. A send counts when it is answered,
 * which is after the commit. Then all of them must be in the database, and the positions must have no holes.
 * @param {import('./support/results.mjs').BenchContext} context
 * @returns {Promise<import('./support/results.mjs').Measurement[]>}
 */
export async function run({ stack, rounds, quick }) {
  const ms = quick ? 1_000 : 4_000;
  const sides = {
    Fairway: await open(stack, (database) => startFairway(stack, database.url)),
    [peerName]: await open(stack, (database) => startPeer('yoga-prisma-send', { env: { DATABASE_URL: database.url } })),
  };
  const measurements = [];
  for (const [load, { title, atLeast }] of /** @type {[keyof typeof loads, typeof loads.hot][]} */ (
    Object.entries(loads)
  )) {
    const ways = mapValues(
      sides,
      ({ sends }) =>
        () =>
          sends[load](ms),
    );
    const { perSecond = {}, p99 = {} } = await interleave(ways, rounds);
    measurements.push(
      { title, unit: 'sends/s', samples: perSecond, bars: [{ against: peerName, atLeast }] },
      { title: `${title}, p99 of the answers`, unit: 'ms', samples: p99, bars: [{ against: peerName }] },
    );
  }
  for (const { stop } of Object.values(sides)) await stop();
  return measurements;
}

/**
 * @param {import('./support/stack.mjs').Stack} stack
 * @param {(database: Database) => Promise<ServerProcess>} start
 */
async function open(stack, start) {
  const database = await stack.createDatabase();
  await seedUsers(database, userIds);
  const [hotRoom = ''] = await seedRooms(database, { memberIds: userIds });
  const rooms = await seedRooms(database, { rooms: coldRooms, memberIds: userIds });
  const server = await start(database);
  const tokens = await Promise.all(userIds.map(tokenOf));
  const [overSocket, overHttp] = [startWorker('operations'), startWorker('operations')];
  await overSocket.call('openSockets', { port: server.port, dialect: 'graphql' }, tokens);
  await overHttp.call('openHttp', { port: server.port, path: '/graphql', tokens });

  let total = 0;
  /** @param {import('./support/worker.mjs').Worker} load @param {string[]} roomIds @returns {Send} */
  const sender = (load, roomIds) => async (ms) => {
    const { answers, ms: elapsedMs, p99 } = await load.call('send', ms, roomIds);
    total += answers;
    await assertStored(database, total);
    return { perSecond: (answers / elapsedMs) * 1_000, p99 };
  };
  return {
    sends: { hot: sender(overSocket, [hotRoom]), http: sender(overHttp, [hotRoom]), spread: sender(overSocket, rooms) },
    stop: async () => {
      await Promise.all([overSocket.stop(), overHttp.stop()]);
      await server.stop();
      await database.drop();
    },
  };
}

/** @param {Database} database @param {number} total */
async function assertStored(database, total) {
  const [row] = await database.query(
    `SELECT (SELECT count(*)::int FROM chat_messages) AS messages, (SELECT sum(seq)::int FROM chat_rooms) AS positions`,
  );
  if (row.messages === total && row.positions === total) return;
  throw new Error(`${total} sends were answered, ${row.messages} are stored, at ${row.positions} positions`);
}
