import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expectedList, seedFairwayDay, seedSeedsDay } from './day-seed.mjs';
import { cpuSeconds, treeCpuSeconds, treeResidentBytes } from './process-usage.mjs';
import { tokenOf } from './seed.mjs';
import { startFairway, startSeeds } from './server-process.mjs';
import { ownMark } from './stack.mjs';
import { startWorker } from './worker.mjs';

/**
 * @typedef {import('./day-profile.mjs').Day} Day
 * @typedef {import('./stack.mjs').Stack} Stack
 * @typedef {import('./stack.mjs').Database} Database
 * @typedef {import('./server-process.mjs').ServerProcess} ServerProcess
 *
 * The processes of a system with what a client needs to reach it.
 * @typedef {object} System
 * @property {Record<string, ServerProcess>} servers
 * @property {'fairway' | 'seeds'} dialect
 * @property {number} port of the sockets
 * @property {number} httpPort
 *
 * A system with its database, its NATS and its load.
 * @typedef {object} Side
 * @property {string} name
 * @property {System} system
 * @property {Database} database
 * @property {import('./worker.mjs').Worker} load
 * @property {Day} day
 * @property {() => Record<string, number>} cpu of each process so far, in seconds
 * @property {() => number} residentMb of the system's own processes
 * @property {() => Promise<void>} stop
 */

export const peerName = 'NestJS + Socket.IO + Prisma';
const tables = join(import.meta.dirname, '../peers/seeds/tables.sql');
const storedWithinMs = 40_000;

/** How each system is started and filled. */
const systems = {
  Fairway: {
    isBare: false,
    seed: seedFairwayDay,
    positionSql: 'seq',
    /** @param {Pick<Stack, 'nats'>} stack @param {string} url @returns {Promise<System>} */
    start: async (stack, url) => {
      const fairway = await startFairway(stack, url);
      return { servers: { fairway }, dialect: 'fairway', port: fairway.port, httpPort: fairway.port };
    },
  },
  [peerName]: {
    isBare: true,
    /** @param {Database} database @param {Day} day */
    seed: async (database, day) => {
      await database.query(readFileSync(tables, 'utf8'));
      await seedSeedsDay(database, day);
    },
    positionSql: 'created_at, id',
    /** @param {Pick<Stack, 'nats'>} stack @param {string} url @returns {Promise<System>} */
    start: async (stack, url) => {
      const service = await startSeeds('service', stack, url);
      const gateway = await startSeeds('gateway', stack, url);
      const bff = await startSeeds('bff', stack, url);
      return { servers: { gateway, service, bff }, dialect: 'seeds', port: gateway.port, httpPort: bff.port };
    },
  },
};

/**
 * Starts a system on a database and a nats-server of its own, without any client.
 * @param {Stack} stack
 * @param {string} name
 * @param {Day} day
 * @returns {Promise<Side>}
 */
export async function startSide(stack, name, day) {
  const { isBare, seed, start } = systemOf(name);
  const database = await stack.createDatabase({ isBare, countsStatements: true });
  await seed(database, day);
  await database.query('VACUUM ANALYZE');
  const nats = await stack.startNats();
  const system = await start({ nats }, database.url);
  const load = startWorker('day');
  const { dialect, port, httpPort } = system;
  await load.call('prepare', { dialect, port, httpPort }, day, await tokensOf(day));
  const servers = Object.entries(system.servers);
  return {
    ...{ name, system, database, load, day },
    cpu: () => ({
      ...Object.fromEntries(servers.map(([process, { pid }]) => [process, treeCpuSeconds(pid)])),
      PostgreSQL: treeCpuSeconds(stack.postgres.pid),
      NATS: cpuSeconds(nats.pid),
      load: cpuSeconds(load.pid),
    }),
    residentMb: () => servers.reduce((sum, [, { pid }]) => sum + treeResidentBytes(pid), 0) / 2 ** 20,
    stop: async () => {
      await load.stop();
      for (const [, server] of servers) await server.stop();
      await nats.stop();
      await database.drop();
    },
  };
}

/**
 * The same with all clients connected, and checked: every device gets each message of its rooms once, and lists and pages
 * are those of the history.
 * @param {Stack} stack
 * @param {string} name
 * @param {Day} day
 */
export async function openSide(stack, name, day) {
  const side = await startSide(stack, name, day);
  try {
    await side.load.call('connect');
    for (const { userId } of day.devices.slice(0, 10)) assertHistory(day, await side.load.call('read', userId), userId);
    await side.load.call('check');
  } catch (cause) {
    const output = Object.values(side.system.servers).map((server) => server.output());
    throw new Error(`${name} does not serve the day. It wrote:\n${output.join('\n')}`, { cause });
  }
  return side;
}

/** The tokens of all people, by user. @param {Day} day @returns {Promise<Record<number, string>>} */
export const tokensOf = async ({ userIds }) =>
  Object.fromEntries(await Promise.all(userIds.map(async (userId) => [userId, await tokenOf(userId)])));

/** @param {Day} day @param {{ list: object, roomId: string, contents: string[] }} read @param {number} userId */
function assertHistory(day, { list, roomId, contents }, userId) {
  const expected = expectedList(day, userId);
  const sorted = (/** @type {object} */ rooms) => JSON.stringify(Object.entries(rooms).sort());
  if (sorted(list) !== sorted(expected)) {
    throw new Error(`The list of ${userId} is ${sorted(list)} instead of ${sorted(expected)}`);
  }
  const last = expected[roomId]?.lastMessage;
  if (contents.length !== 50 || contents.at(-1) !== last) throw new Error(`The page of ${roomId} is ${contents}`);
}

/**
 * Waits until the system has stored what it will store, and compares what the devices showed with it.
 * @param {Side} side
 */
export async function compareWithStored({ name, database, load }) {
  const first = await load.call('firstNumber');
  const { positionSql } = systemOf(name);
  const read = () =>
    database.query(
      `SELECT room_id AS ${ownMark}, array_agg(number ORDER BY ${positionSql}) AS numbers
       FROM (SELECT *, split_part(content, ' ', 1)::int AS number FROM chat_messages WHERE content ~ '^[0-9]+ ') AS m
       WHERE number >= $1 GROUP BY room_id`,
      [first],
    );
  const deadline = performance.now() + storedWithinMs;
  for (let before = -1; ; await delay(500)) {
    const rooms = await read();
    const total = rooms.reduce((sum, { numbers }) => sum + numbers.length, 0);
    if (total !== before && performance.now() < deadline) {
      before = total;
      continue;
    }
    return load.call('compare', Object.fromEntries(rooms.map((row) => [row[ownMark], row.numbers])));
  }
}

/** @param {string} name */
const systemOf = (name) => {
  const system = systems[/** @type {keyof typeof systems} */ (name)];
  return system;
};
