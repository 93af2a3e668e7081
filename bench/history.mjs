import { documents } from './support/documents.mjs';
import { cursorOfMessage } from './support/fairway.mjs';
import { seedClubs, seedRooms, settle, tokenOf } from './support/seed.mjs';
import { startFairway } from './support/server-process.mjs';
import { interleave, mapValues } from './support/statistics.mjs';
import { startWorker } from './support/worker.mjs';

/** @typedef {import('./support/stack.mjs').Stack} Stack */
/** @typedef {import('./support/results.mjs').BenchContext} BenchContext */
/** @typedef {import('./support/results.mjs').Measurement} Measurement */

/** Half of the messages are in small rooms, half in a large one. */
const messagesPerRoom = 50;
const missed = 200;
const atMost = 1.5;

/**
 * Compares Fairway with itself, with a hundred times as many messages, rooms and people in its database. What one user has
 * stays the same: 20 rooms, and a large one.
 * @param {BenchContext} context
 * @returns {Promise<Measurement[]>}
 */
export async function run({ stack, rounds, quick }) {
  const [few, many] = quick ? [100, 1_000] : [1_000, 100_000];
  const sides = Object.fromEntries(
    await Promise.all(
      [few, many].map(async (rooms) => {
        const messages = 2 * rooms * messagesPerRoom;
        const name = `${messages.toLocaleString('en')} messages in ${rooms.toLocaleString('en')} rooms`;
        return [name, await open(stack, rooms, quick ? 500 : 1_500)];
      }),
    ),
  );
  const [small = '', large = ''] = Object.keys(sides);
  const measurements = [];
  for (const what of Object.keys(sides[small]?.questions ?? {})) {
    const { ms = {} } = await interleave(
      mapValues(sides, ({ questions }) => async () => ({ ms: (await questions[what]?.()) ?? Number.NaN })),
      rounds,
    );
    measurements.push({
      title: `history: ${what}`,
      unit: 'ms',
      samples: ms,
      bars: [{ of: large, against: small, atMost }],
    });
  }
  for (const { stop } of Object.values(sides)) await stop();
  return measurements;
}

/**
 * The median times of one user's questions, asked one at a time over one connection.
 * @param {Stack} stack
 * @param {number} rooms
 * @param {number} ms how long each is asked
 */
async function open(stack, rooms, ms) {
  const database = await stack.createDatabase();
  const size = rooms * messagesPerRoom;
  const [memberIds = []] = await seedClubs(database, { rooms, messages: messagesPerRoom });
  const [id = ''] = await seedRooms(database, { memberIds, messages: size });
  const [{ id: middle }] = await database.query('SELECT id FROM chat_messages WHERE room_id = $1 AND seq = $2', [
    id,
    size / 2,
  ]);
  await settle(database);
  const server = await startFairway(stack, database.url);
  const tokens = [await tokenOf(memberIds[0] ?? 0)];
  const [overHttp, overSocket] = [startWorker('operations'), startWorker('operations')];
  await overHttp.call('openHttp', { port: server.port, path: '/graphql', tokens });
  await overSocket.call('openSockets', { port: server.port, dialect: 'graphql' }, tokens);

  const before = cursorOfMessage(/** @type {any} */ ({ roomId: id, seq: size / 2 }));
  /** @param {keyof typeof documents} name @param {object} variables */
  const ask = (name, variables) => async () => {
    const { p50 } = await overHttp.call('ask', ms, JSON.stringify({ query: documents[name], variables }));
    return p50;
  };
  /** @param {keyof typeof documents} name @param {object} variables @param {string} mark */
  const follow = (name, variables, mark) => async () => {
    const { p50 } = await overSocket.call('follow', ms, JSON.stringify({ query: documents[name], variables }), mark);
    return p50;
  };
  /** @type {Record<string, () => Promise<number>>} */
  const questions = {
    'page of 50 at the end of a room': ask('roomPage', { id }),
    'page of 50 in the middle of a room': ask('roomPage', { id, before }),
    'page of 50 around a message': ask('around', { id, messageId: middle }),
    'list of 20 rooms': ask('roomList', { first: 20 }),
    [`subscribe, with a replay of ${missed}`]: follow('resume', { id, afterSeq: size - missed }, '"RoomReady"'),
    'subscribe to the inbox': follow('inbox', {}, '"READY"'),
    // The last, because each one makes the replay longer.
    'sendMessage, one at a time': async () => (await overSocket.call('send', ms, [id])).p50,
  };
  return {
    questions,
    stop: async () => {
      await Promise.all([overHttp.stop(), overSocket.stop()]);
      await server.stop();
      await database.drop();
    },
  };
}
