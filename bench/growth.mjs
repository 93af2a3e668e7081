import { openAudience } from './support/audience.mjs';
import { documents } from './support/documents.mjs';
import { cursorOfMessage } from './support/fairway.mjs';
import { numbers, seedRooms, seedUsers, settle, tokenOf } from './support/seed.mjs';
import { startFairway } from './support/server-process.mjs';
import { interleave, mapValues } from './support/statistics.mjs';
import { startWorker } from './support/worker.mjs';

/** @typedef {import('./support/stack.mjs').Stack} Stack */
/** @typedef {import('./support/stack.mjs').Database} Database */
/** @typedef {import('./support/results.mjs').BenchContext} BenchContext */
/** @typedef {import('./support/results.mjs').Measurement} Measurement */

const members = 5;
const roomsPerList = 20;
const messagesPerListedRoom = 20;
const atMost = 1.5;

/**
 * Measures the cost of Fairway's own work with growing numbers of subscribers, messages and rooms.
 * @param {BenchContext} context
 * @returns {Promise<Measurement[]>}
 */
export async function run(context) {
  return [await growAudience(context), ...(await growPages(context)), await growList(context)];
}

/** @param {BenchContext} context @returns {Promise<Measurement>} */
async function growAudience({ stack, rounds, quick }) {
  const sizes = quick ? [100, 500] : [100, 1_000, 5_000];
  /** @type {Record<string, () => Promise<Record<string, number>>>} */
  const ways = {};
  const audiences = [];
  const database = await stack.createDatabase();
  for (const subscribers of sizes) {
    const audience = await openAudience(stack, 'Fairway', { subscribers, database });
    audiences.push(audience);
    ways[`${subscribers.toLocaleString('en')} subscribers`] = () => audience.measure('oneByOne', quick ? 1_000 : 3_000);
  }
  const { perSecond = {} } = await interleave(ways, rounds);
  for (const audience of audiences) await audience.stop();
  return { title: 'growth: subscribers of one room', unit: 'deliveries/s', samples: perSecond, bars: [] };
}

/** @param {BenchContext} context @returns {Promise<Measurement[]>} */
async function growPages({ stack, rounds, quick }) {
  const sizes = quick ? [1_000, 10_000] : [1_000, 100_000, 1_000_000];
  const database = await stack.createDatabase();
  const userIds = numbers(1_000, members);
  await seedUsers(database, userIds);
  /** @type {Record<string, unknown>} */
  const newest = {};
  /** @type {Record<string, unknown>} */
  const middle = {};
  for (const size of sizes) {
    const [id = ''] = await seedRooms(database, { memberIds: userIds, messages: size });
    const before = cursorOfMessage(/** @type {any} */ ({ roomId: id, seq: size / 2 }));
    newest[`${size.toLocaleString('en')} messages`] = { query: documents.roomPage, variables: { id } };
    middle[`${size.toLocaleString('en')} messages`] = { query: documents.roomPage, variables: { id, before } };
  }
  await settle(database);
  const asked = await open(stack, database, userIds[0] ?? 0, quick);
  const measurements = [];
  for (const [where, questions] of Object.entries({ 'at the end': newest, 'in the middle': middle })) {
    const { ms = {} } = await interleave(
      mapValues(questions, (question) => () => asked.time(question)),
      rounds,
    );
    measurements.push({ title: `growth: page of 50 ${where} of a room`, unit: 'ms', samples: ms, bars: [barOf(ms)] });
  }
  await asked.stop();
  return measurements;
}

/** @param {BenchContext} context @returns {Promise<Measurement>} */
async function growList({ stack, rounds, quick }) {
  const sizes = quick ? [20, 200] : [20, 200, 5_000];
  /** @type {Record<string, Awaited<ReturnType<typeof open>>>} */
  const sides = {};
  for (const rooms of sizes) {
    const database = await stack.createDatabase();
    const userIds = numbers(1_000, members);
    await seedUsers(database, userIds);
    await seedRooms(database, { rooms, memberIds: userIds, messages: messagesPerListedRoom });
    await settle(database);
    sides[`${rooms.toLocaleString('en')} rooms`] = await open(stack, database, userIds[0] ?? 0, quick);
  }
  const { ms = {} } = await interleave(
    mapValues(
      sides,
      ({ time }) =>
        () =>
          time({ query: documents.roomList, variables: { first: roomsPerList } }),
    ),
    rounds,
  );
  for (const { stop } of Object.values(sides)) await stop();
  return { title: `growth: list of ${roomsPerList} rooms`, unit: 'ms', samples: ms, bars: [barOf(ms)] };
}

/** Compares the last with the first. @param {Record<string, number[]>} samples */
function barOf(samples) {
  const names = Object.keys(samples);
  return { of: names.at(-1) ?? '', against: names[0] ?? '', atMost };
}

/**
 * Measures the median time of an answer, with one connection and one request at a time.
 * @param {Stack} stack
 * @param {Database} database
 * @param {number} viewerId
 * @param {boolean} quick
 */
async function open(stack, database, viewerId, quick) {
  const server = await startFairway(stack, database.url);
  const load = startWorker('operations');
  await load.call('openHttp', { port: server.port, path: '/graphql', tokens: [await tokenOf(viewerId)] });
  return {
    /** @param {unknown} question */
    time: async (question) => {
      const { p50 } = await load.call('ask', quick ? 500 : 1_500, JSON.stringify(question));
      return { ms: p50 };
    },
    stop: async () => {
      await load.stop();
      await server.stop();
      await database.drop();
    },
  };
}
