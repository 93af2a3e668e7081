import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { messageAdded } from './support/audience.mjs';
import { documents } from './support/documents.mjs';
import { residentBytes } from './support/process-usage.mjs';
import { inspectorArgs, measureMemory } from './support/retained-memory.mjs';
import { numbers, seedRooms, seedUsers, tokenOf } from './support/seed.mjs';
import { startFairway, startPeer } from './support/server-process.mjs';
import { interleave } from './support/statistics.mjs';
import { startWorker } from './support/worker.mjs';

/** @typedef {import('./support/stack.mjs').Stack} Stack */
/** @typedef {import('./support/server-process.mjs').ServerProcess} ServerProcess */
/** @typedef {{ target: unknown, places: unknown[], sender: string | undefined, untilLive: () => Promise<void> }} Listening */

const peerName = 'yoga + hive pubsub on JetStream';
const userIds = numbers(1_000, 100);
const roomsPerSocket = 10;
const pollMs = 10;
const deadlineMs = 300_000;

/**
 * Measures the time in which connected sockets subscribe to ten rooms each, all at once, with ten listeners per room, until
 * every subscription is live. Each round has a fresh server. Then it checks that each listener gets one message.
 * @param {import('./support/results.mjs').BenchContext} context
 * @returns {Promise<import('./support/results.mjs').Measurement[]>}
 */
export async function run({ stack, rounds, quick }) {
  const rooms = quick ? 100 : 500;
  const database = await stack.createDatabase();
  await seedUsers(database, userIds);
  const roomIds = await seedRooms(database, { rooms, memberIds: userIds });
  const tokens = await Promise.all(userIds.map(tokenOf));
  const ways = {
    Fairway: async () => {
      const server = await startFairway(stack, database.url, { nodeArgs: inspectorArgs });
      return measure(stack, server, {
        target: { port: server.port, dialect: 'graphql', subscription: documents.roomEvents, readyMark: 'RoomReady' },
        places: placesOf(roomIds, tokens),
        sender: tokens[0],
        untilLive: async () => undefined,
      });
    },
    [peerName]: () => measureHive(stack, roomIds),
  };
  const { ms = {}, kilobytes = {}, natsKilobytes = {} } = await interleave(ways, rounds, { warmUp: false });
  await database.drop();
  const title = `${(rooms * roomsPerSocket).toLocaleString('en')} listeners subscribe to ${rooms} rooms over NATS`;
  return [
    { title, unit: 'ms', samples: ms, bars: [{ against: peerName, atMost: 0.2 }] },
    {
      title,
      unit: 'KB of server memory a listener, heap and buffers',
      samples: kilobytes,
      bars: [{ against: peerName, atMost: 0.2 }],
    },
    { title, unit: 'KB of nats-server memory a listener', samples: natsKilobytes, bars: [{ against: peerName }] },
  ];
}

/** @param {string[]} roomIds @param {string[]} [tokens] */
const placesOf = (roomIds, tokens = []) =>
  roomIds.map((_, socket) => ({
    token: tokens[socket % tokens.length],
    roomIds: numbers(0, roomsPerSocket).map((index) => roomIds[(socket + index) % roomIds.length]),
  }));

/** @param {Stack} stack @param {ServerProcess} server @param {Listening} listening */
async function measure({ nats }, server, { target, places, sender, untilLive }) {
  const load = startWorker('audience');
  await load.call('connect', target, places, [sender]);
  const before = await measureMemory(server);
  const natsBefore = residentBytes(nats.pid);
  const startedAt = performance.now();
  await load.call('subscribe');
  await untilLive();
  const ms = performance.now() - startedAt;
  const after = await measureMemory(server);
  const natsBytes = residentBytes(nats.pid) - natsBefore;
  await load.call('check', 1);
  await load.stop();
  await server.stop();
  const perListener = 1_024 * places.length * roomsPerSocket;
  return { ms, kilobytes: (after.retained - before.retained) / perListener, natsKilobytes: natsBytes / perListener };
}

/** The peer does not report live subscriptions, so this counts the consumers of the stream. @param {Stack} stack @param {string[]} roomIds */
async function measureHive(stack, roomIds) {
  const { nats } = stack;
  const stream = `BENCH${randomBytes(4).toString('hex')}`;
  const env = { NATS_URL: nats.url, NATS_USER: nats.user, NATS_PASSWORD: nats.password, BENCH_STREAM: stream };
  const server = await startPeer('hive-pubsub', { nodeArgs: inspectorArgs, env });
  const connection = await connect({ servers: nats.url, user: nats.user, pass: nats.password });
  const { streams } = await jetstreamManager(connection);
  const listeners = roomIds.length * roomsPerSocket;
  const untilLive = async () => {
    const deadline = performance.now() + deadlineMs;
    while ((await streams.info(stream)).state.consumer_count < listeners) {
      if (performance.now() > deadline) throw new Error('Not all listeners have a consumer');
      await delay(pollMs);
    }
  };
  try {
    return await measure(stack, server, {
      target: { port: server.port, dialect: 'graphql', subscription: messageAdded },
      places: placesOf(roomIds),
      sender: undefined,
      untilLive,
    });
  } finally {
    await streams.delete(stream);
    await connection.close();
  }
}
