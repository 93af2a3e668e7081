import { randomUUID } from 'node:crypto';
import { request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { serveCalls } from '../support/worker.mjs';

/** The bytes that go out together. */
const pieceBytes = 65_536;

const createUpload = `mutation ($input: CreateUploadInput!) {
  createUpload(input: $input) { attachment { id } method url headers { name value } }
}`;
const completeUpload = `mutation ($input: CompleteUploadInput!) {
  completeUpload(input: $input) { attachment { status } }
}`;

/** @typedef {{ port: number, roomId: string, byteSize: number, bytesPerSecond: number }} Plan */

let isRunning = false;
let sentBytes = 0;
/** @type {Promise<unknown>} */
let ended = Promise.resolve();

/** @param {number} port @param {string} token @param {string} query @param {object} input */
async function ask(port, token, query, input) {
  const response = await fetch(`http://127.0.0.1:${port}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ query, variables: { input } }),
  });
  const { data, errors } = /** @type {any} */ (await response.json());
  if (errors !== undefined) throw new Error(JSON.stringify(errors));
  return data;
}

/**
 * Brings the bytes as a line of this speed does.
 * @param {Plan} plan @param {string} url @param {Record<string, string>} headers
 */
async function put({ port, byteSize, bytesPerSecond }, url, headers) {
  const sending = request({
    ...{ host: '127.0.0.1', port, path: url, method: 'PUT' },
    headers: { ...headers, 'content-length': byteSize },
  });
  /** @type {Promise<number | undefined>} */
  const answered = new Promise((resolve, reject) => {
    sending.on('error', reject);
    sending.on('response', (answer) => {
      answer.resume();
      answer.on('end', () => resolve(answer.statusCode));
    });
  });
  // A failure is reported by `await answered` below, not before.
  answered.catch(() => undefined);
  const startedAt = performance.now();
  const piece = Buffer.alloc(pieceBytes, 'a text that is long. ');
  for (let sent = 0; sent < byteSize; ) {
    const part = piece.subarray(0, Math.min(pieceBytes, byteSize - sent));
    sending.write(part);
    sent += part.length;
    sentBytes += part.length;
    const due = startedAt + (sent / bytesPerSecond) * 1_000;
    await delay(Math.max(0, due - performance.now()));
  }
  sending.end();
  const status = await answered;
  if (status !== 204) throw new Error(`The upload was answered with ${status}`);
}

/** @param {Plan} plan @param {string} token @param {number} place of all of them */
async function uploadAgainAndAgain(plan, token, place) {
  const { port, roomId, byteSize, bytesPerSecond } = plan;
  // Not all of them begin and end together.
  await delay((place * 1_000 * byteSize) / bytesPerSecond / 20);
  while (isRunning) {
    const input = { id: randomUUID(), roomId, name: 'notes.txt', contentType: 'text/plain', byteSize };
    const { createUpload: made } = await ask(port, token, createUpload, input);
    const headers = Object.fromEntries(
      made.headers.map((/** @type {{ name: string, value: string }} */ { name, value }) => [name, value]),
    );
    await put(plan, made.url, headers);
    const { completeUpload: done } = await ask(port, token, completeUpload, { id: made.attachment.id });
    if (done.attachment.status !== 'READY') throw new Error(`The file is ${done.attachment.status}`);
  }
}

serveCalls({
  /** Begins uploads, one for each token, and goes on until `stop`. @param {Plan} plan @param {string[]} tokens */
  start(plan, tokens) {
    isRunning = true;
    sentBytes = 0;
    ended = Promise.all(tokens.map((token, place) => uploadAgainAndAgain(plan, token, place)));
    ended.catch(() => undefined);
  },

  /** The bytes so far. */
  sent: () => sentBytes,

  /** Lets those that are going on end. Throws the error of one that has failed. */
  async stop() {
    isRunning = false;
    await ended;
  },
});
