import { connect } from '@nats-io/transport-node';
import { documents } from './support/documents.mjs';
import { HttpConnection } from './support/http-connection.mjs';
import { numbers, seedRooms, seedUsers, settle, tokenOf } from './support/seed.mjs';
import { startFairway } from './support/server-process.mjs';
import { interleave, mapValues, summarize } from './support/statistics.mjs';

const names = { nats: 'chat.rooms.get over NATS', http: 'room(id) over GraphQL' };

/**
 * Measures requests for one room by a backend over NATS and by a client over HTTP, one at a time.
 * @param {import('./support/results.mjs').BenchContext} context
 * @returns {Promise<import('./support/results.mjs').Measurement[]>}
 */
export async function run({ stack, rounds, quick }) {
  const database = await stack.createDatabase();
  const [viewer = 0, ...others] = numbers(1_000, 4);
  await seedUsers(database, [viewer, ...others]);
  const [id = ''] = await seedRooms(database, { memberIds: [viewer, ...others], messages: 20 });
  await settle(database);
  const server = await startFairway(stack, database.url);
  const { url, user, password } = stack.nats;
  const backend = await connect({ servers: url, user, pass: password });
  const client = new HttpConnection({ port: server.port, path: '/graphql', token: await tokenOf(viewer) });
  const request = JSON.stringify({ roomId: id, userId: viewer });
  const body = JSON.stringify({ query: documents.room, variables: { id } });
  const asks = {
    [names.nats]: async () => (await backend.request('chat.rooms.get', request)).string(),
    [names.http]: async () => String(await client.post(body)),
  };
  const ways = mapValues(asks, (ask) => async () => {
    const times = [];
    for (let count = quick ? 50 : 500; count > 0; count -= 1) {
      const startedAt = performance.now();
      const answer = await ask();
      times.push(performance.now() - startedAt);
      if (!answer.includes(`"id":"${id}"`)) throw new Error(`The answer is not the room: ${answer}`);
    }
    return { ms: summarize(times).median };
  });
  const { ms = {} } = await interleave(ways, rounds);
  await backend.close();
  await server.stop();
  await database.drop();
  return [
    { title: 'one room for another backend', unit: 'ms', samples: ms, bars: [{ of: names.nats, against: names.http }] },
  ];
}
