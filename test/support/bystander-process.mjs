import { randomUUID } from 'node:crypto';
import { WebSocket } from 'ws';

/**
 * Sends, reads and subscribes at a steady rate over its own socket, whether answers come or not, and reports the time of
 * each operation: from the moment at which it was due until its answer, which for a subscription is RoomReady. It is a
 * separate process, so that nothing in it waits for the test.
 *
 * @typedef {'send' | 'read' | 'subscribe'} Kind
 * @typedef {{ url: string, authorization: string, roomId: string, everyMs: Record<Kind, number> }} Task
 * @typedef {{ kind: Kind, dueAt: number, ms: number | undefined }} Asked
 */

/** The time that is reported for operations that were refused, or not answered within it. */
const patienceMs = 30_000;
/** The number of entries that the subscription reads from the database. */
const replayed = 10;

/** @type {Task} */
const { url, authorization, roomId, everyMs } = JSON.parse(process.argv[2] ?? '');
/** @type {Map<string, Asked>} */
const unanswered = new Map();
/** The operations of the current phase. @type {Asked[]} */
let asked = [];
/** The newest position in an answer. */
let head = 1;

/** @type {Record<Kind, () => { query: string, variables: object }>} */
const operations = {
  send: () => ({
    query: 'mutation Send($input: SendMessageInput!) { sendMessage(input: $input) { message { id seq } } }',
    variables: { input: { roomId, content: 'good morning' } },
  }),
  read: () => ({
    query: `query Read($id: ID!) {
      room(id: $id) { title unreadCount messages(last: 20) { edges { node { id seq content sender { name } } } } }
    }`,
    variables: { id: roomId },
  }),
  subscribe: () => ({
    query: `subscription Listen($roomId: ID!, $afterSeq: Int) {
      roomEvents(roomId: $roomId, afterSeq: $afterSeq) { __typename seq }
    }`,
    variables: { roomId, afterSeq: Math.max(0, head - replayed) },
  }),
};

const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
socket.on('open', () => socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization } })));
socket.on('message', (data) => accept(JSON.parse(String(data))));
socket.on('error', (error) => fail(error.message));
socket.on('close', (code) => fail(`its socket was closed with ${code}`));

/** @param {{ type: string, id: string, payload: any }} message */
function accept({ type, id, payload }) {
  if (type === 'connection_ack') for (const kind of /** @type {Kind[]} */ (Object.keys(operations))) begin(kind);
  const one = unanswered.get(id);
  if (one === undefined) return;
  const isRefused = type === 'error' || (type === 'next' && 'errors' in payload) || type === 'complete';
  if (one.kind === 'subscribe' && !isRefused) {
    if (payload.data.roomEvents.__typename !== 'RoomReady') return;
    socket.send(JSON.stringify({ id, type: 'complete' }));
  }
  head = Math.max(head, payload?.data?.sendMessage?.message.seq ?? 0);
  unanswered.delete(id);
  one.ms = isRefused ? patienceMs : performance.now() - one.dueAt;
}

/** @param {Kind} kind */
const begin = (kind) => askWhenDue(kind, performance.now());

/**
 * @param {Kind} kind
 * @param {number} dueAt
 */
function askWhenDue(kind, dueAt) {
  let next = dueAt;
  for (; next <= performance.now(); next += everyMs[kind]) {
    const id = randomUUID();
    const one = { kind, dueAt: next, ms: undefined };
    unanswered.set(id, one);
    asked.push(one);
    socket.send(JSON.stringify({ id, type: 'subscribe', payload: operations[kind]() }));
  }
  setTimeout(() => askWhenDue(kind, next), next - performance.now());
}

/** Each message requests the times of the operations that were due since the last message. */
process.on('message', () => {
  const phase = asked;
  asked = [];
  report(phase, performance.now() + patienceMs);
});

/**
 * @param {readonly Asked[]} phase
 * @param {number} deadline
 */
function report(phase, deadline) {
  const now = performance.now();
  if (now < deadline && phase.some(({ ms }) => ms === undefined)) setTimeout(() => report(phase, deadline), 20);
  else process.send?.(phase.map(({ kind, ms = patienceMs }) => ({ kind, ms })));
}

/** @param {string} why */
function fail(why) {
  process.stderr.write(`${why}\n`);
  process.exit(1);
}
