import { documents } from './documents.mjs';
import { cpuSeconds } from './process-usage.mjs';
import { numbers, seedRooms, seedUsers, tokenOf } from './seed.mjs';
import { startFairway, startPeer } from './server-process.mjs';
import { startWorker } from './worker.mjs';

/** @typedef {import('./stack.mjs').Stack} Stack */
/** @typedef {import('../load/client.mjs').Target} Target */

/**
 * A server with subscribers to one room, and senders.
 * @typedef {object} Audience
 * @property {import('./server-process.mjs').ServerProcess} server
 * @property {import('./worker.mjs').Worker} load
 * @property {string} roomId
 * @property {(method: 'oneByOne' | 'bursts', ms: number, ...args: unknown[]) => Promise<{ perSecond: number, cpuMicros: number, loadMicros: number }>} measure
 * @property {(count: number) => Promise<void>} grow adds subscribers
 * @property {() => Promise<void>} stop
 */

/** Fairway's limit for a room; further sockets are second and third devices. */
const maxMembers = 500;
const firstUser = 1_000;

/** The subscription of the peers that speak GraphQL. */
export const messageAdded =
  'subscription ($roomId: ID!) { messageAdded(roomId: $roomId) { id seq type content senderName createdAt sender { id name } } }';

/** Fairway without the registered documents of the bench. */
export const interpreted = 'Fairway, interpreted';

/** @type {Record<string, { peer: string, target: Omit<Target, 'port'> }>} */
export const broadcastPeers = {
  'raw ws': { peer: 'raw-ws', target: { dialect: 'raw' } },
  'Socket.IO': { peer: 'socket-io', target: { dialect: 'socket.io' } },
  'yoga + graphql-ws': { peer: 'yoga-pubsub', target: { dialect: 'graphql', subscription: messageAdded } },
  mercurius: { peer: 'mercurius', target: { dialect: 'graphql', subscription: messageAdded } },
};

/**
 * @typedef {object} AudienceOptions
 * @property {number} subscribers
 * @property {number} [senders]
 * @property {string[]} [nodeArgs]
 * @property {boolean} [isInterpreted]
 * @property {import('./stack.mjs').Database} [database] shared with other audiences of Fairway that are open at the same time:
 *   installations with different databases must not share a nats-server
 */

/**
 * Connects all sockets and checks that each message reaches each subscriber once, complete and in order.
 * @param {Stack} stack
 * @param {string} name 'Fairway', 'Fairway, interpreted' or a peer
 * @param {AudienceOptions} options
 * @returns {Promise<Audience>}
 */
export function openAudience(stack, name, options) {
  if (name === 'Fairway') return openFairwayAudience(stack, options);
  if (name === interpreted) return openFairwayAudience(stack, { ...options, isInterpreted: true });
  return openPeerAudience(name, options);
}

/** @param {Stack} stack @param {AudienceOptions} options @returns {Promise<Audience>} */
async function openFairwayAudience(
  stack,
  { subscribers, senders = 1, nodeArgs = [], isInterpreted, database: shared },
) {
  const database = shared ?? (await stack.createDatabase());
  const userIds = numbers(firstUser, Math.min(maxMembers, Math.max(subscribers, senders)));
  await seedUsers(database, userIds);
  const [roomId = ''] = await seedRooms(database, { memberIds: userIds });
  const tokens = await Promise.all(userIds.map(tokenOf));
  const server = await startFairway(stack, database.url, { nodeArgs, isInterpreted });
  return connect(
    'Fairway',
    server,
    { port: server.port, dialect: 'graphql', subscription: documents.roomEvents, readyMark: 'RoomReady' },
    {
      roomId,
      subscribers,
      tokenAt: (index) => tokens[index % tokens.length],
      senderTokens: tokens.slice(0, senders),
      end: async () => (shared === undefined ? database.drop() : undefined),
    },
  );
}

/** @param {string} name @param {AudienceOptions} options @returns {Promise<Audience>} */
async function openPeerAudience(name, { subscribers, senders = 1, nodeArgs = [] }) {
  const { peer, target } = /** @type {(typeof broadcastPeers)[string]} */ (broadcastPeers[name]);
  const server = await startPeer(peer, { nodeArgs });
  return connect(
    name,
    server,
    { ...target, port: server.port },
    {
      roomId: 'room',
      subscribers,
      tokenAt: () => undefined,
      senderTokens: numbers(0, senders).map(() => undefined),
      end: async () => undefined,
    },
  );
}

/**
 * @param {string} name
 * @param {Audience['server']} server
 * @param {Target} target
 * @param {{
 *   roomId: string, subscribers: number, tokenAt: (index: number) => string | undefined,
 *   senderTokens: (string | undefined)[], end: () => Promise<void>,
 * }} options
 * @returns {Promise<Audience>}
 */
async function connect(name, server, target, { roomId, subscribers, tokenAt, senderTokens, end }) {
  const load = startWorker('audience');
  let size = 0;
  /** @param {number} count @param {(string | undefined)[]} [senders] */
  const grow = async (count, senders = []) => {
    const places = numbers(size, count).map((index) => ({ token: tokenAt(index), roomIds: [roomId] }));
    size += count;
    await load.call('connect', target, places, senders);
    await load.call('subscribe');
    await load.call('check', 3);
  };
  try {
    await grow(subscribers, senderTokens);
  } catch (cause) {
    throw new Error(`${name} does not deliver the messages that were sent. It wrote:\n${server.output()}`, { cause });
  }
  return {
    server,
    load,
    roomId,
    measure: async (method, ms, ...args) => {
      const [serverBefore, loadBefore] = [cpuSeconds(server.pid), cpuSeconds(load.pid)];
      const { deliveries, ms: elapsedMs } = await load.call(method, ms, roomId, ...args);
      return {
        perSecond: (deliveries / elapsedMs) * 1_000,
        cpuMicros: ((cpuSeconds(server.pid) - serverBefore) / deliveries) * 1e6,
        loadMicros: ((cpuSeconds(load.pid) - loadBefore) / deliveries) * 1e6,
      };
    },
    grow,
    stop: async () => {
      await load.stop();
      await server.stop();
      await end();
    },
  };
}

/**
 * @param {Stack} stack
 * @param {string[]} names
 * @param {AudienceOptions} options
 */
export async function openAudiences(stack, names, options) {
  /** @type {Record<string, Audience>} */
  const audiences = {};
  const database = await stack.createDatabase();
  for (const name of names) audiences[name] = await openAudience(stack, name, { ...options, database });
  return audiences;
}

/** @param {Record<string, Audience>} audiences */
export async function closeAudiences(audiences) {
  for (const audience of Object.values(audiences)) await audience.stop();
}
