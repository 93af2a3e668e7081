import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { documents } from '../support/documents.mjs';
import { HttpConnection } from '../support/http-connection.mjs';
import { serveCalls } from '../support/worker.mjs';
import { Client } from './client.mjs';

/** @typedef {import('./client.mjs').Target} Target */
/** Sends an operation over one connection, one at a time, and resolves with the answer. @typedef {(body: string) => Promise<Buffer>} Line */

const text =
  '내일 아침 일곱 시에 정류장에서 만나요. 비가 오면 여덟 시로 미루고, 늦으시는 분은 미리 알려 주세요. 점심은 근처에서.';

/** @type {Line[]} */
let lines = [];
let sent = 0;
/** A text in the result that ends a subscription. Empty while mutations are sent, which have one result. */
let awaited = '';

/** @param {Target} target @param {string} token @returns {Promise<Line>} */
async function openSocket(target, token) {
  const client = await Client.open(target, token);
  let lastId = 0;
  /** @type {(answer: Buffer) => void} */
  let answer = () => undefined;
  client.socket.onText = (bytes, start, end) => {
    const head = bytes.toString('latin1', start, Math.min(end, start + 80));
    if (!head.includes('"type":"next"') || !head.includes(`"id":"${lastId}"`)) return;
    if (awaited !== '') {
      if (!bytes.toString('latin1', start, end).includes(awaited)) return;
      client.socket.send(`{"id":"${lastId}","type":"complete"}`);
    }
    answer(Buffer.from(bytes.subarray(start, end)));
  };
  return (body) =>
    new Promise((resolve) => {
      answer = resolve;
      lastId += 1;
      client.socket.send(`{"id":"${lastId}","type":"subscribe","payload":${body}}`);
    });
}

/**
 * Sends as many operations as fit into the time, one at a time on each connection.
 * @param {number} ms
 * @param {() => string} nextBody
 * @param {(answer: Buffer) => void} check
 * @param {number} [everyMs] each connection sends no more often; without it, as soon as it is answered
 */
async function run(ms, nextBody, check, everyMs = 0) {
  /** @type {number[]} */
  const times = [];
  const startedAt = performance.now();
  await Promise.all(
    lines.map(async (line, place) => {
      if (everyMs > 0) await delay((everyMs * place) / lines.length);
      for (let now = performance.now(); now - startedAt < ms; ) {
        check(await line(nextBody()));
        const answeredAt = performance.now();
        times.push(answeredAt - now);
        if (everyMs > 0) await delay(Math.max(0, now + everyMs - answeredAt));
        now = everyMs > 0 ? performance.now() : answeredAt;
      }
    }),
  );
  const elapsedMs = performance.now() - startedAt;
  times.sort((a, b) => a - b);
  const at = (/** @type {number} */ share) => times[Math.floor(times.length * share)];
  return { answers: times.length, ms: elapsedMs, p50: at(0.5), p99: at(0.99) };
}

serveCalls({
  /** @param {Target} target @param {string[]} tokens one for each socket */
  async openSockets(target, tokens) {
    lines = await Promise.all(tokens.map((token) => openSocket(target, token)));
  },

  /** @param {{ port: number, path: string, tokens: (string | undefined)[] }} target */
  openHttp({ port, path, tokens }) {
    lines = tokens.map((token) => {
      const connection = new HttpConnection({ port, path, token });
      return (body) => connection.post(body);
    });
  },

  /** @param {number} ms @param {string[]} roomIds taken in turn @param {number} [everyMs] as in `run` */
  send(ms, roomIds, everyMs) {
    awaited = '';
    const nextBody = () => {
      sent += 1;
      const input = { id: randomUUID(), roomId: roomIds[sent % roomIds.length], content: `${sent} ${text}` };
      return JSON.stringify({ query: documents.sendMessage, variables: { input } });
    };
    return run(
      ms,
      nextBody,
      (answer) => {
        if (answer.includes('"errors"') || !answer.includes('"createdAt"')) throw new Error(String(answer));
      },
      everyMs,
    );
  },

  /**
   * Subscribes and completes, again and again.
   * @param {number} ms
   * @param {string} body
   * @param {string} mark a text in the result that ends it
   */
  follow(ms, body, mark) {
    awaited = mark;
    return run(
      ms,
      () => body,
      (answer) => {
        if (!answer.includes(mark)) throw new Error(String(answer));
      },
    );
  },

  /** Repeats the same request. The data do not change, so every answer has the length of the first. */
  async ask(/** @type {number} */ ms, /** @type {string} */ body) {
    const first = await /** @type {Line} */ (lines[0])(body);
    if (first.includes('"errors"')) throw new Error(String(first));
    return run(
      ms,
      () => body,
      (answer) => {
        if (answer.length !== first.length) throw new Error(`Another answer than at first: ${answer}`);
      },
    );
  },
});
