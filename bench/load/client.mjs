import { documents } from '../support/documents.mjs';
import { WireSocket } from '../support/wire-socket.mjs';

/**
 * The server that a load process puts under load.
 * @typedef {object} Target
 * @property {number} port
 * @property {'graphql' | 'socket.io' | 'raw'} dialect
 * @property {string} [subscription] the document of a GraphQL subscription to one room
 * @property {string} [readyMark] a text in the first result of a live subscription
 */

/**
 * A wire format: the handshake, a subscription, a send, and how to read a text frame.
 * @typedef {object} Dialect
 * @property {string} path
 * @property {string} [protocol]
 * @property {(client: Client, token: string | undefined) => Promise<void>} greet
 * @property {(client: Client, op: string, roomId: string, target: Target) => Promise<void>} subscribe resolves when it is live or on its way
 * @property {(client: Client, op: string, roomId: string, content: string) => void} send
 * @property {(json: string) => { op: string, content: string } | undefined} readMessage
 * @property {(client: Client, text: string) => void} [onSignal] keeps the connection alive
 */

const answerTimeoutMs = 60_000;

/** @type {Record<Target['dialect'], Dialect>} */
const dialects = {
  graphql: {
    path: '/graphql',
    protocol: 'graphql-transport-ws',
    greet: async (client, token) => {
      const payload = token === undefined ? {} : { authorization: `Bearer ${token}` };
      client.socket.send(JSON.stringify({ type: 'connection_init', payload }));
      await client.signal((text) => text.includes('"connection_ack"'));
    },
    subscribe: async (client, op, roomId, { subscription, readyMark }) => {
      const payload = { query: subscription, variables: { roomId } };
      const isLive = client.signal((text) =>
        readyMark === undefined ? text.includes('"pong"') : text.includes(readyMark) && text.includes(`"id":"${op}"`),
      );
      client.socket.send(JSON.stringify({ id: op, type: 'subscribe', payload }));
      if (readyMark === undefined) client.socket.send('{"type":"ping"}');
      await isLive;
    },
    send: (client, op, roomId, content) => {
      const payload = { query: documents.sendMessage, variables: { input: { roomId, content } } };
      client.socket.send(JSON.stringify({ id: op, type: 'subscribe', payload }));
    },
    readMessage: (json) => {
      const { id, payload } = JSON.parse(json);
      const message = payload?.data?.roomEvents?.message ?? payload?.data?.messageAdded;
      return message === undefined ? undefined : { op: id, content: assertWhole(message) };
    },
    onSignal: (client, text) => {
      if (text.includes('"type":"ping"')) client.socket.send('{"type":"pong"}');
    },
  },
  'socket.io': {
    path: '/socket.io/?EIO=4&transport=websocket',
    greet: async (client) => {
      await client.signal((text) => text.startsWith('0{'));
      client.socket.send('40');
      await client.signal((text) => text.startsWith('40{'));
    },
    subscribe: async (client, op, roomId) => {
      client.socket.send(`42${op}["join",${JSON.stringify(roomId)}]`);
      await client.signal((text) => text.startsWith(`43${op}[`));
    },
    send: (client, op, roomId, content) =>
      client.socket.send(`42${op}${JSON.stringify(['send', { roomId, content }])}`),
    readMessage: (json) =>
      json.startsWith('42[') ? { op: '1', content: assertWhole(JSON.parse(json.slice(2))[1]) } : undefined,
    onSignal: (client, text) => {
      if (text === '2') client.socket.send('3');
    },
  },
  raw: {
    path: '/',
    greet: async () => undefined,
    subscribe: async (client) => {
      client.socket.send('{"join":true}');
      await client.signal((text) => text === '"joined"');
    },
    send: (client, _op, roomId, content) => client.socket.send(JSON.stringify({ roomId, content })),
    readMessage: (json) => ({ op: '1', content: assertWhole(JSON.parse(json)) }),
  },
};

/** Every peer delivers the same fields. */
function assertWhole(/** @type {any} */ { id, seq, type, content, senderName, createdAt, sender }) {
  const isWhole = [id, type, content, senderName, createdAt, sender?.id, sender?.name].every(
    (field) => typeof field === 'string' && field.length > 0,
  );
  if (!isWhole || typeof seq !== 'number') throw new Error('A message without all its fields was delivered');
  return content;
}

/** Longer frames are messages; acknowledgements, pings and answers without content are shorter. */
export const messageBytes = 200;

/** One connection. Passes frames of messages to `onMessage` undecoded. */
export class Client {
  /** The number of messages so far. */
  received = 0;
  /** @type {(bytes: Buffer, start: number, end: number, client: Client) => void} */
  onMessage = () => undefined;
  /** @type {(text: string) => void} */
  onText = () => undefined;
  /** @type {{ matches: (text: string) => boolean, resolve: () => void }[]} */
  #awaited = [];
  /** Short frames that arrived while the connection opened and that no `signal` waits for yet. @type {string[] | undefined} */
  #early = [];
  #target;
  #ops = 0;

  /**
   * @param {Target} target
   * @param {string} [token]
   */
  static async open(target, token) {
    const client = new Client(target);
    await client.socket.ready;
    await client.dialect.greet(client, token);
    client.#early = undefined;
    return client;
  }

  /** @param {Target} target */
  constructor(target) {
    this.#target = target;
    this.dialect = dialects[target.dialect];
    const { path, protocol } = this.dialect;
    this.socket = new WireSocket({ port: target.port, path, protocol });
    this.socket.onClose = (reason) => {
      throw new Error(`The server closed a socket: ${reason}`);
    };
    this.socket.onText = (bytes, start, end) => {
      if (end - start > messageBytes) {
        this.received += 1;
        this.onMessage(bytes, start, end, this);
      } else this.#signal(bytes.toString('utf8', start, end));
    };
  }

  /** The number of the operation, as `readMessage` names it. @param {string} roomId */
  async subscribe(roomId) {
    this.#ops += 1;
    const op = String(this.#ops);
    await this.dialect.subscribe(this, op, roomId, this.#target);
    return op;
  }

  /** @param {string} roomId @param {string} content */
  send(roomId, content) {
    this.#ops += 1;
    this.dialect.send(this, String(this.#ops), roomId, content);
  }

  /**
   * Resolves with the next short frame that matches.
   * @param {(text: string) => boolean} matches
   * @returns {Promise<void>}
   */
  signal(matches) {
    const early = this.#early?.findIndex(matches) ?? -1;
    if (early !== -1) {
      this.#early?.splice(early, 1);
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`No answer within ${answerTimeoutMs} ms`)), answerTimeoutMs);
      this.#awaited.push({
        matches,
        resolve: () => {
          clearTimeout(timer);
          resolve();
        },
      });
    });
  }

  close() {
    this.socket.close();
  }

  /** @param {string} text */
  #signal(text) {
    if (text.includes('"errors"') || text.includes('"error"')) throw new Error(text);
    this.dialect.onSignal?.(this, text);
    this.onText(text);
    const index = this.#awaited.findIndex(({ matches }) => matches(text));
    if (index === -1) this.#early?.push(text);
    else this.#awaited.splice(index, 1)[0]?.resolve();
  }
}

/**
 * @template T, R
 * @param {T[]} items
 * @param {number} limit
 * @param {(item: T) => Promise<R>} work
 * @returns {Promise<R[]>} in the order of the items
 */
export async function mapLimited(items, limit, work) {
  /** @type {R[]} */
  const results = [];
  let next = 0;
  const run = async () => {
    while (next < items.length) {
      const index = next;
      next += 1;
      results[index] = await work(/** @type {T} */ (items[index]));
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, run));
  return results;
}
