import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from '@nats-io/transport-node';
import { pino } from 'pino';
import { startApp } from '../dist/app.js';
import { signToken } from '../dist/auth/sign-token.js';
import { readConfig } from '../dist/config.js';
import { migrate } from '../dist/db/migrate.js';
import { startEmbeddedServers } from '../dist/embedded/embedded-servers.js';

const warmUps = 300;
const rounds = 2_000;
const query = `query ($id: ID!) { room(id: $id) {
  id name type bookingId seq title unreadCount cancelledAt createdAt updatedAt
  members { id user { id name } isAdmin joinedAt lastReadMessageId lastReadAt }
  lastMessage { id seq type content senderName createdAt }
} }`;

/** The latency of one room, over NATS and over GraphQL on HTTP, from the same process one after the other. */
export async function run() {
  const dataDir = mkdtempSync(join(tmpdir(), 'fairway-bench-'));
  const log = pino({ level: 'warn' });
  const servers = await startEmbeddedServers({ dataDir, log, postgres: true, nats: true });
  try {
    await measure(servers, log);
  } finally {
    await servers.stop();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

/**
 * @param {import('../dist/embedded/embedded-servers.js').EmbeddedServers} servers
 * @param {import('pino').Logger} log
 */
async function measure({ postgres, nats, authSecret }, log) {
  if (postgres === undefined || nats === undefined) throw new Error('The servers did not start');
  const { url, user, password } = nats;
  await migrate(postgres.url, join(import.meta.dirname, '../prisma/migrations'));
  const config = readConfig({ PORT: '0', HOST: '127.0.0.1', LOG_LEVEL: 'warn' });
  const app = await startApp(
    {
      ...config,
      database: { ...config.database, url: postgres.url },
      nats: { ...config.nats, url, user, password },
      auth: { ...config.auth, secret: authSecret },
    },
    log,
  );
  const connection = await connect({ servers: url, user, pass: password });
  /** @param {string} subject @param {unknown} payload */
  const ask = async (subject, payload) => {
    const answer = /** @type {any} */ ((await connection.request(subject, JSON.stringify(payload))).json());
    if (!answer.success) throw new Error(answer.error);
    return answer.data;
  };
  const memberIds = [4, 5, 6, 7];
  const { id } = await ask('chat.rooms.create', { type: 'GROUP', memberIds, memberNames: ['가', '나', '다', '라'] });
  const token = await signToken(authSecret, { userId: 4, name: '가' });
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}` };
  const body = JSON.stringify({ query, variables: { id } });
  const ways = {
    'chat.rooms.get over NATS': () => ask('chat.rooms.get', { roomId: id, userId: 4 }),
    'room(id) over GraphQL': async () => {
      const response = await fetch(`http://127.0.0.1:${app.port}/graphql`, { method: 'POST', headers, body });
      const { data, errors } = /** @type {any} */ (await response.json());
      if (data?.room?.id !== id) throw new Error(JSON.stringify(errors));
    },
  };

  const times = await interleave(ways);
  const [over, beside] = Object.entries(times).map(([name, list]) => {
    const [median, p95] = [0.5, 0.95].map((share) => list[Math.floor(list.length * share)] ?? Number.NaN);
    process.stdout.write(`${name.padEnd(26)} median ${median?.toFixed(2)} ms   p95 ${p95?.toFixed(2)} ms\n`);
    return median ?? Number.NaN;
  });
  process.stdout.write(
    `NATS : GraphQL, medians of ${rounds} each, one at a time: ${((over ?? 0) / (beside ?? 0)).toFixed(2)}\n`,
  );
  await connection.close();
  await app.stop();
}

/**
 * Whatever disturbs one way disturbs the other as well. The times in ms, ascending.
 * @param {Record<string, () => Promise<unknown>>} ways
 */
async function interleave(ways) {
  /** @type {Record<string, number[]>} */
  const times = Object.fromEntries(Object.keys(ways).map((name) => [name, []]));
  for (let round = -warmUps; round < rounds; round += 1) {
    for (const [name, way] of Object.entries(ways)) {
      const startedAt = performance.now();
      await way();
      if (round >= 0) times[name]?.push(performance.now() - startedAt);
    }
  }
  for (const list of Object.values(times)) list.sort((a, b) => a - b);
  return times;
}
