import { setTimeout as delay } from 'node:timers/promises';
import { serveCalls } from '../support/worker.mjs';
import { Client, mapLimited } from './client.mjs';

/** @typedef {import('./client.mjs').Target} Target */
/** @typedef {{ client: Client, roomIds: string[], rooms: Map<string, string>, received: number, seen: string[][] }} Subscriber */

const text =
  '내일 아침 일곱 시에 정류장에서 만나요. 비가 오면 여덟 시로 미루고, 늦으시는 분은 미리 알려 주세요. 점심은 근처에서.';
const openAtOnce = 100;
const roomsAtOnce = 20;
const deadlineMs = 120_000;
const sampleEvery = 500;

/** @type {Subscriber[]} */
const subscribers = [];
/** @type {Client[]} */
const senders = [];
let delivered = 0;
let numbered = 0;
let wanted = Number.POSITIVE_INFINITY;
let reached = () => {};
/** @type {Set<string>} */
let current = new Set();
/** @type {number[]} the time at which `latency` sent each message, by its number */
let sentAt = [];
/** @type {number[]} */
let latencies = [];

/** @type {(bytes: Buffer, start: number, end: number, subscriber: Subscriber) => void} */
let inspect = sample;

/** Reads one of `sampleEvery` messages in full. @type {typeof inspect} */
function sample(bytes, start, end, { client }) {
  if (delivered % sampleEvery !== 0) return;
  const message = client.dialect.readMessage(bytes.toString('utf8', start, end));
  if (message === undefined || !current.has(message.content)) throw new Error('An unsent message was delivered');
}

/** @type {typeof inspect} */
function collect(bytes, start, end, subscriber) {
  const { dialect } = subscriber.client;
  const message = dialect.readMessage(bytes.toString('utf8', start, end));
  if (message === undefined) throw new Error(`Not a message: ${bytes.toString('utf8', start, end)}`);
  subscriber.seen.push([subscriber.rooms.get(message.op) ?? '', message.content]);
}

/** @type {typeof inspect} */
function clock(bytes, start, end) {
  const at = bytes.subarray(start, end).indexOf('"content":"') + start + 11;
  const number = Number.parseInt(bytes.toString('latin1', at, at + 10), 10);
  latencies.push(performance.now() - /** @type {number} */ (sentAt[number]));
}

/** @param {string} roomId @param {Client} sender */
function send(roomId, sender) {
  numbered += 1;
  const content = `${numbered} ${text}`;
  current.add(content);
  sender.send(roomId, content);
  return content;
}

/** Resolves once `count` messages have been delivered in total. @param {number} count @returns {Promise<void>} */
function untilDelivered(count) {
  wanted = count;
  if (delivered >= count) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${delivered} of ${count} messages were delivered`)), deadlineMs);
    reached = () => {
      clearTimeout(timer);
      reached = () => {};
      resolve();
    };
  });
}

/** Checks that every subscriber has its share of the messages, and that no more arrive. @param {number} count */
async function assertDelivered(count) {
  await delay(50);
  if (delivered !== count) throw new Error(`${delivered} messages were delivered instead of ${count}`);
  const share = count / subscribers.length;
  const other = subscribers.find(({ received }) => received !== share);
  if (other !== undefined) throw new Error(`A subscriber got ${other.received} messages instead of ${share}`);
}

function startCount() {
  delivered = 0;
  for (const subscriber of subscribers) {
    subscriber.received = 0;
    subscriber.seen = [];
  }
}

serveCalls({
  /**
   * @param {Target} target
   * @param {{ token?: string, roomIds: string[] }[]} places one for each socket
   * @param {(string | undefined)[]} senderTokens
   */
  async connect(target, places, senderTokens) {
    const opened = await mapLimited(senderTokens, openAtOnce, (token) => Client.open(target, token));
    for (const sender of opened) {
      sender.onMessage = (bytes, start, end) => {
        throw new Error(`A send was answered with ${bytes.toString('utf8', start, end)}`);
      };
    }
    senders.push(...opened);
    await mapLimited(places, openAtOnce, async ({ token, roomIds }) => {
      const client = await Client.open(target, token);
      /** @type {Subscriber} */
      const subscriber = { client, roomIds, rooms: new Map(), received: 0, seen: [] };
      client.onMessage = (bytes, start, end) => {
        delivered += 1;
        subscriber.received += 1;
        inspect(bytes, start, end, subscriber);
        if (delivered === wanted) reached();
      };
      subscribers.push(subscriber);
    });
  },

  /** Resolves with the time until all subscriptions were live, in ms. */
  async subscribe() {
    const startedAt = performance.now();
    await mapLimited(
      subscribers.filter(({ rooms }) => rooms.size === 0),
      Number.POSITIVE_INFINITY,
      ({ client, roomIds, rooms }) =>
        Promise.all(roomIds.map(async (roomId) => rooms.set(await client.subscribe(roomId), roomId))),
    );
    return performance.now() - startedAt;
  },

  /** Sends to every room, and checks that each subscriber gets the right messages, in order, once. @param {number} messages */
  async check(messages) {
    await delay(200); // not every server reports when a subscription is live
    startCount();
    inspect = collect;
    const roomIds = [...new Set(subscribers.flatMap((subscriber) => subscriber.roomIds))];
    /** @type {string[][]} */
    const sent = [];
    let expected = 0;
    for (let message = 0; message < messages; message += 1) {
      for (const [index, roomId] of roomIds.entries()) {
        sent.push([roomId, send(roomId, /** @type {Client} */ (senders[index % senders.length]))]);
        expected += subscribers.filter((subscriber) => subscriber.roomIds.includes(roomId)).length;
        if (index % roomsAtOnce === 0) await untilDelivered(expected);
      }
      await untilDelivered(expected);
    }
    await assertDelivered(expected);
    const sort = (/** @type {string[][]} */ list) => list.sort(([a = ''], [b = '']) => (a < b ? -1 : a > b ? 1 : 0));
    for (const { roomIds: own, seen } of subscribers) {
      const due = sent.filter(([roomId = '']) => own.includes(roomId));
      if (JSON.stringify(sort(seen)) !== JSON.stringify(sort(due))) throw new Error('A subscriber got other messages');
    }
    current.clear();
    inspect = sample;
  },

  /** Sends one message at a time, the next one once all have received it. @param {number} ms @param {string} roomId */
  async oneByOne(ms, roomId) {
    startCount();
    inspect = sample;
    const [sender] = /** @type {[Client]} */ (senders);
    const startedAt = performance.now();
    let expected = 0;
    while (performance.now() - startedAt < ms) {
      current = new Set();
      expected += subscribers.length;
      send(roomId, sender);
      await untilDelivered(expected);
    }
    const elapsedMs = performance.now() - startedAt;
    await assertDelivered(expected);
    return { deliveries: expected, ms: elapsedMs };
  },

  /** Sends bursts of `messages`, divided among the senders, the next one once all have received it. */
  async bursts(/** @type {number} */ ms, /** @type {string} */ roomId, /** @type {number} */ messages) {
    startCount();
    inspect = sample;
    const startedAt = performance.now();
    let expected = 0;
    while (performance.now() - startedAt < ms) {
      current = new Set();
      expected += messages * subscribers.length;
      for (let message = 0; message < messages; message += 1) {
        send(roomId, /** @type {Client} */ (senders[message % senders.length]));
      }
      await untilDelivered(expected);
    }
    const elapsedMs = performance.now() - startedAt;
    await assertDelivered(expected);
    return { deliveries: expected, ms: elapsedMs };
  },

  /** Sends from the senders in turn, at a steady rate, and measures the time from the send to each receipt. */
  async latency(/** @type {number} */ ms, /** @type {string} */ roomId, /** @type {number} */ perSecond) {
    startCount();
    inspect = clock;
    sentAt = [];
    latencies = [];
    const startedAt = performance.now();
    const messages = Math.round((ms / 1_000) * perSecond);
    for (let message = 0; message < messages; message += 1) {
      const waitMs = startedAt + (message * 1_000) / perSecond - performance.now();
      if (waitMs > 0) await delay(waitMs);
      sentAt[numbered + 1] = performance.now();
      send(roomId, /** @type {Client} */ (senders[message % senders.length]));
    }
    await untilDelivered(messages * subscribers.length);
    await assertDelivered(messages * subscribers.length);
    current.clear();
    latencies.sort((a, b) => a - b);
    const at = (/** @type {number} */ share) => latencies[Math.floor(latencies.length * share)];
    return { p50: at(0.5), p99: at(0.99), max: latencies.at(-1) };
  },
});
