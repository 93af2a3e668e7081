import { randomUUID } from 'node:crypto';
import { WebSocket } from 'ws';

/**
 * Sends at a steady rate over a socket of its own, whether the answers come or not, and tells how long each took: from the
 * moment at which it was due until its answer. A process of its own, so that nothing in it waits for the test.
 *
 * @typedef {{ url: string, authorization: string, roomId: string, everyMs: number }} Task
 * @typedef {{ dueAt: number, ms: number | undefined }} Send
 */

/** Counted for a send that is refused, or not answered for so long. */
const patienceMs = 30_000;
const query = `mutation Send($input: SendMessageInput!) { sendMessage(input: $input) { duplicate message { id seq } } }`;

/** @type {Task} */
const { url, authorization, roomId, everyMs } = JSON.parse(process.argv[2] ?? '');
/** @type {Map<string, Send>} */
const unanswered = new Map();
/** Those of the present phase. @type {Send[]} */
let sends = [];

const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
socket.on('open', () => socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization } })));
socket.on('message', (data) => accept(JSON.parse(String(data))));
socket.on('error', (error) => fail(error.message));
socket.on('close', (code) => fail(`its socket was closed with ${code}`));

/** @param {{ type: string, id: string, payload: object }} message */
function accept({ type, id, payload }) {
  if (type === 'connection_ack') sendWhenDue(performance.now());
  const send = unanswered.get(id);
  if (send === undefined) return;
  unanswered.delete(id);
  send.ms = type === 'error' || 'errors' in payload ? patienceMs : performance.now() - send.dueAt;
}

/** @param {number} dueAt */
function sendWhenDue(dueAt) {
  let next = dueAt;
  for (; next <= performance.now(); next += everyMs) {
    const id = randomUUID();
    const send = { dueAt: next, ms: undefined };
    unanswered.set(id, send);
    sends.push(send);
    const variables = { input: { roomId, content: 'good morning' } };
    socket.send(JSON.stringify({ id, type: 'subscribe', payload: { query, variables } }));
  }
  setTimeout(() => sendWhenDue(next), next - performance.now());
}

/** Each message asks for the times of what was due since the last. */
process.on('message', () => {
  const phase = sends;
  sends = [];
  report(phase, performance.now() + patienceMs);
});

/**
 * @param {readonly Send[]} phase
 * @param {number} deadline
 */
function report(phase, deadline) {
  const now = performance.now();
  if (now < deadline && phase.some(({ ms }) => ms === undefined)) setTimeout(() => report(phase, deadline), 20);
  else process.send?.(phase.map(({ ms = patienceMs }) => ms));
}

/** @param {string} why */
function fail(why) {
  process.stderr.write(`${why}\n`);
  process.exit(1);
}
