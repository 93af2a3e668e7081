import { interpreted } from './support/audience.mjs';
import { documents } from './support/documents.mjs';
import { numbers, seedRooms, seedUsers, settle, tokenOf } from './support/seed.mjs';
import { startFairway, startPeer } from './support/server-process.mjs';
import { interleave, mapValues } from './support/statistics.mjs';
import { startWorker } from './support/worker.mjs';

/** @typedef {import('./support/server-process.mjs').ServerProcess} ServerProcess */
/** @typedef {{ body: string, normalize: (answer: any) => unknown }} Question */
/** @typedef {{ start: () => Promise<ServerProcess>, list: Question, page: Question }} Peer */

const rooms = 50;
const messagesPerRoom = 200;
const pageSize = 50;
const concurrency = 16;
const userIds = numbers(1_000, 5);
const [viewerId = 0] = userIds;

const messageFields = 'id seq type content senderName createdAt';
const memberFields = 'isAdmin lastReadSeq user { id name }';
const roomFields = `id type name seq updatedAt unreadCount lastMessage { ${messageFields} } members { ${memberFields} }`;
const pageFields = `${messageFields} sender { id name } readCount`;

/**
 * Measures the list of 50 rooms and a page of 50 messages, with 16 connections and one request on each, over HTTP. First it
 * checks that all peers return the same data.
 * @param {import('./support/results.mjs').BenchContext} context
 * @returns {Promise<import('./support/results.mjs').Measurement[]>}
 */
export async function run({ stack, rounds, quick }) {
  const ms = quick ? 1_000 : 4_000;
  const database = await stack.createDatabase();
  await seedUsers(database, userIds);
  const [roomId = ''] = await seedRooms(database, { rooms, memberIds: userIds, messages: messagesPerRoom });
  await settle(database);
  const token = await tokenOf(viewerId);
  /** @type {Record<string, Awaited<ReturnType<typeof open>>>} */
  const sides = {};
  /** @type {Record<string, string>} */
  const missing = {};
  for (const [name, peer] of Object.entries(peersOf(stack, database.url, roomId))) {
    try {
      sides[name] = await open(peer, token);
    } catch (error) {
      if (name === 'Fairway') throw error;
      missing[name] = String(error).split('\n')[0] ?? '';
    }
  }
  assertSame(sides);

  const list = await interleave(
    mapValues(
      sides,
      ({ ask }) =>
        () =>
          ask('list', ms),
    ),
    rounds,
  );
  const page = await interleave(
    mapValues(
      sides,
      ({ ask }) =>
        () =>
          ask('page', ms),
    ),
    rounds,
  );
  for (const { stop } of Object.values(sides)) await stop();
  await database.drop();
  return [
    {
      title: 'room list, 50 rooms of 200 messages, 5 members each',
      unit: 'lists/s',
      samples: list['perSecond'] ?? {},
      missing,
      bars: [
        { against: interpreted },
        { against: 'yoga + Pothos prisma', atLeast: 20 },
        { against: 'yoga + Pothos prisma, joins', atLeast: 3 },
        { against: 'PostGraphile 5', atLeast: 2 },
        { against: 'bare HTTP + SQL', atLeast: 0.6 },
      ],
    },
    {
      title: 'page of 50 messages with read counts',
      unit: 'pages/s',
      samples: page['perSecond'] ?? {},
      missing,
      bars: [
        { against: interpreted },
        { against: 'yoga + Pothos prisma', atLeast: 2 },
        { against: 'yoga + Pothos prisma, joins' },
        { against: 'PostGraphile 5', atLeast: 1.2 },
        { against: 'bare HTTP + SQL', atLeast: 0.6 },
      ],
    },
  ];
}

/**
 * @param {import('./support/stack.mjs').Stack} stack
 * @param {string} url
 * @param {string} roomId
 * @returns {Record<string, Peer>}
 */
function peersOf(stack, url, roomId) {
  const env = { DATABASE_URL: url };
  const pothos = {
    list: ask(`{ rooms(first: ${rooms}) { ${roomFields} } }`, ({ data }) => data.rooms),
    page: ask(
      `query ($id: ID!) { room(id: $id) { messages(last: ${pageSize}) { ${pageFields} } } }`,
      ({ data }) => data.room.messages.reverse(),
      { id: roomId },
    ),
  };
  const fairway = {
    list: ask(documents.roomList, ({ data }) => nodes(data.rooms), { first: rooms }),
    page: ask(documents.roomPage, ({ data }) => nodes(data.room.messages), { id: roomId }),
  };
  return {
    Fairway: { ...fairway, start: () => startFairway(stack, url) },
    [interpreted]: { ...fairway, start: () => startFairway(stack, url, { isInterpreted: true }) },
    'yoga + Pothos prisma': { ...pothos, start: () => startPeer('yoga-prisma-read', { env }) },
    'yoga + Pothos prisma, joins': {
      ...pothos,
      start: () => startPeer('yoga-prisma-read', { env: { ...env, BENCH_JOINS: 'on' } }),
    },
    'PostGraphile 5': {
      start: () => startPeer('postgraphile', { env }),
      list: ask(
        `{ rooms: peerViewerRooms(viewer: ${viewerId}, first: ${rooms}) { nodes {
          id: rowId type name seq updatedAt unreadCount(viewer: ${viewerId})
          lastMessage { ${messageFields.replace('id', 'id: rowId')} }
          members: chatRoomMembersByRoomId(condition: { leftAt: null }) {
            nodes { isAdmin lastReadSeq user: chatUserByUserId { id: rowId name } }
          }
        } } }`,
        ({ data }) => data.rooms.nodes.map((/** @type {any} */ room) => ({ ...room, members: room.members.nodes })),
      ),
      page: ask(
        `query ($id: UUID!) { room: chatRoomByRowId(rowId: $id) { messages: newestMessages(first: ${pageSize}) { nodes {
          ${messageFields.replace('id', 'id: rowId')} readCount sender: chatUserBySenderId { id: rowId name }
        } } } }`,
        ({ data }) => data.room.messages.nodes.reverse(),
        { id: roomId },
      ),
    },
    'bare HTTP + SQL': {
      start: () => startPeer('bare-sql', { env }),
      list: { body: JSON.stringify({ rooms }), normalize: (answer) => answer.rooms },
      page: {
        body: JSON.stringify({ roomId, last: pageSize }),
        normalize: (answer) => answer.messages.reverse(),
      },
    },
  };
}

/**
 * Passes ids as variables, as generated clients do.
 * @param {string} query
 * @param {Question['normalize']} normalize
 * @param {Record<string, unknown>} [variables]
 * @returns {Question}
 */
const ask = (query, normalize, variables) => ({
  body: JSON.stringify({ query, variables }),
  normalize,
});

const nodes = (/** @type {{ edges: { node: unknown }[] }} */ { edges }) => edges.map(({ node }) => node);

/** @param {Peer} peer @param {string} token */
async function open({ start, ...questions }, token) {
  const server = await start();
  const address = { port: server.port, path: '/graphql' };
  /** @param {'list' | 'page'} what */
  const look = async (what) => {
    const { body, normalize } = questions[what];
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}` };
    const response = await fetch(`http://127.0.0.1:${server.port}/graphql`, { method: 'POST', headers, body });
    const answer = await response.json();
    if (answer.errors !== undefined) throw new Error(`${JSON.stringify(answer.errors[0])} ${server.output()}`);
    return normalize(answer);
  };
  const load = startWorker('operations');
  const stop = async () => {
    await load.stop();
    await server.stop();
  };
  try {
    await load.call('openHttp', { ...address, tokens: Array(concurrency).fill(token) });
    return {
      list: await look('list'),
      page: await look('page'),
      /** @param {'list' | 'page'} what @param {number} ms */
      ask: async (what, ms) => {
        const { answers, ms: elapsedMs } = await load.call('ask', ms, questions[what].body);
        return { perSecond: (answers / elapsedMs) * 1_000 };
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/**
 * Compares values, not notations: ids and times may be written differently.
 * @param {Record<string, { list: unknown, page: unknown }>} sides
 */
function assertSame(sides) {
  const texts = mapValues(sides, ({ list, page }) => JSON.stringify(plain([list, page])));
  for (const [name, text] of Object.entries(texts)) {
    if (text !== texts['Fairway'])
      throw new Error(`${name} returns other data than Fairway:\n${text}\n${texts['Fairway']}`);
  }
}

/** Sorts members, and writes ids and times in one way. @param {any} value @returns {unknown} */
function plain(value) {
  if (Array.isArray(value) && value[0]?.user !== undefined)
    return value.map((item) => JSON.stringify(plain(item))).sort();
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== 'object') return String(value);
  const entries = Object.entries(value).map(([key, field]) => [
    key,
    /At$/.test(key) ? new Date(field).toISOString() : plain(field),
  ]);
  return Object.fromEntries(entries.sort(([a = ''], [b = '']) => (String(a) < String(b) ? -1 : 1)));
}
