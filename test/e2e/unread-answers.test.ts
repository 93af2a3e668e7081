import { setTimeout as delay } from 'node:timers/promises';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { type TestClient, tokenFor } from '../support/client.js';
import { Inspector, inspectorEnv } from '../support/inspector.js';
import type { Instance } from '../support/instance.js';
import { metricsEnv, readMetrics } from '../support/metrics.js';
import { Reader } from '../support/reader.js';
import { describeWithNats } from '../support/requirements.js';
import { waitFor } from '../support/wait-for.js';
import { postOperation, RawSocket } from '../support/wire.js';
import { useWorld } from '../support/world.js';

const sendTimeoutMs = 1_000;
/** The server gives up an answer that is read a little at a time after this. */
const maxAnswerMs = 20 * sendTimeoutMs;
const kimId = 4;
const crowd = Array.from({ length: 20 }, (_, index) => 1_001 + index);
/** 16,000 bytes. */
const essay = '😀'.repeat(4_000);
const essayBytes = 16_000;
const maxAnswerBytes = 4_194_304;
/** More than the operating system's buffers for one connection. */
const huge = 700 * essayBytes;

describeWithNats('an answer that is not read', () => {
  const world = useWorld({ instances: 0, env: { ...metricsEnv, ...inspectorEnv } });
  let instance: Instance;
  let kim: TestClient;
  let roomId: string;
  let tokens: string[];

  beforeAll(async () => {
    const hugeEnv = { MAX_ANSWER_BYTES: '16777216', SEND_TIMEOUT_MS: String(sendTimeoutMs) };
    instance = await world.start(hugeEnv);
    kim = await world.client(kimId);
    roomId = await kim.group(...crowd);
    tokens = await Promise.all(crowd.map((userId) => tokenFor(userId)));
    await fill(roomId);
  });

  it('counts for ten seconds more if its connection closes, without holding memory', async () => {
    const lee = await world.client(9);
    const room = await lee.group(kimId);
    await fill(room);
    const operation = { ...pages(700), variables: { id: room } };
    for (let times = 0; times < 3; times += 1) {
      const reader = await ask(instance, lee.token, operation);
      await waitFor(async () => (await unreadBytes(instance)) > huge / 2, { what: 'an unread answer' });
      reader.close();
      await waitFor(async () => (await unreadBytes(instance)) === 0, { what: 'the end of the answer' });
    }
    const refused = await viewer(instance, lee.token);
    expect(refused.errors?.[0]?.extensions.code).toBe('RATE_LIMITED');
    expect((await viewer(instance, kim.token)).errors).toBeUndefined();
    const isServed = async () => (await viewer(instance, lee.token)).errors === undefined;
    await waitFor(isServed, { what: 'the next operation' });
  });

  it('is cut if nothing of it is read, and its memory is freed', async () => {
    const inspector = await Inspector.attach(instance);
    onTestFinished(() => inspector.detach());
    await postOperation(instance, pages(700), { authorization: `Bearer ${kim.token}` });
    const before = await inspector.retainedBytes();
    const residentBefore = await residentBytes(instance);

    const readers = await Promise.all(tokens.map((token) => ask(instance, token, pages(700))));
    await waitFor(async () => (await inspector.retainedBytes()) - before > 2 * huge, { what: 'answers that wait' });
    await waitFor(async () => (await inspector.retainedBytes()) - before < huge, {
      what: 'the memory to be free again',
    });
    await waitFor(async () => (await residentBytes(instance)) - residentBefore < 10 * huge, {
      what: 'the memory to be given back to the system',
    });
    await Promise.all(readers.map((reader) => reader.read()));
    for (const { receivedBytes } of readers) expect(receivedBytes).toBeLessThan(huge);
    expect(instance.output()).not.toMatch(/"level":[56]0/);
  });

  it('is cut if a little of it is read now and then', async () => {
    const reader = await ask(instance, kim.token, pages(700));
    const startedAt = performance.now();
    await Promise.race([reader.read({ everyMs: 200 }), delay(2 * maxAnswerMs)]);
    expect(reader.isClosed).toBe(true);
    expect(performance.now() - startedAt).toBeGreaterThan(maxAnswerMs / 2);
    expect(reader.receivedBytes).toBeLessThan(huge);
  });

  it('differs from one that is read slowly, which arrives whole on a connection that stays usable', async () => {
    const [quick, slow] = [await ask(instance, kim.token, pages(700)), await ask(instance, kim.token, pages(700))];
    const [atOnce, slowly] = await Promise.all([quick.answer(), slow.answer({ everyMs: 25 })]);
    expect(atOnce.body.length).toBeGreaterThan(huge);
    expect(slowly.body.equals(atOnce.body)).toBe(true);
    for (const reader of [quick, slow]) {
      reader.ask(kim.token, { query: '{ viewer { id } }' });
      expect(String((await reader.answer()).body)).toBe('{"data":{"viewer":{"id":"4"}}}');
    }
  });

  it('takes bounded memory if a client sends a thousand more requests ahead', async () => {
    const inspector = await Inspector.attach(instance);
    onTestFinished(() => inspector.detach());
    const before = await inspector.retainedBytes();
    const readers = await Promise.all(
      tokens.map((token) => ask(instance, token, ...Array.from({ length: 1_000 }, () => pages(10)))),
    );
    let peak = 0;
    const deadline = performance.now() + 4 * sendTimeoutMs;
    while (performance.now() < deadline) {
      peak = Math.max(peak, (await inspector.retainedBytes()) - before);
      await delay(100);
    }
    expect(peak).toBeLessThan(50_000_000);
    await Promise.all(readers.map((reader) => reader.read()));
    for (const { answers } of readers) expect(answers).toBeLessThan(40);
  });

  it('is cut as well if it is a file of GraphiQL', async () => {
    const reader = await open(instance);
    reader.write('GET /graphql/graphiql.js HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(8));
    await delay(4 * sendTimeoutMs);
    await reader.read();
    expect(reader.answers).toBeLessThan(8);
  });

  it('counts for its user: the next request is refused until it is read, and those of others are not', async () => {
    const patient = await world.start();
    // The operating system's buffers for a connection take the first answer.
    const twice = [pages(200), pages(200)];
    const readers: Reader[] = [];
    for (let count = 0; count < 3; count += 1) {
      const held = await unreadBytes(patient);
      readers.push(await ask(patient, kim.token, ...twice));
      await waitFor(async () => (await unreadBytes(patient)) > held, { what: 'an answer that waits' });
    }
    // While the last answer is being made, a request waits behind it, and is refused within an answer of its own.
    const refused = await waitFor(
      async () => {
        const answer = await viewer(patient, kim.token);
        return answer.status === 429 ? answer : undefined;
      },
      { what: 'a refusal' },
    );
    expect(refused.errors).toMatchObject([{ extensions: { code: 'RATE_LIMITED', retryAfterMs: 1_000 } }]);
    expect(await viewer(patient, tokens[0] as string)).toMatchObject({ status: 200 });

    for (const reader of readers.slice(0, 2)) {
      expect(await reader.answer()).toMatchObject({ status: 200 });
      expect(await reader.answer()).toMatchObject({ status: 200 });
    }
    await waitFor(async () => (await viewer(patient, kim.token)).status === 200, { what: 'room for another' });
  });

  it('counts for a limit of all users together', async () => {
    const patient = await world.start();
    const twice = [pages(200), pages(200)];
    const readers = await Promise.all(
      Array.from({ length: 60 }, (_, index) => ask(patient, tokens[index % tokens.length] as string, ...twice)),
    );
    let peak = 0;
    await waitFor(
      async () => {
        const bytes = await unreadBytes(patient);
        peak = Math.max(peak, bytes);
        return bytes > 30 * maxAnswerBytes;
      },
      { what: 'much that waits' },
    );
    for (let look = 0; look < 20; look += 1) {
      peak = Math.max(peak, await unreadBytes(patient));
      await delay(50);
    }
    expect(peak).toBeLessThanOrEqual(32 * maxAnswerBytes);
    // The remaining answers arrive and are read.
    const answers = await Promise.allSettled(readers.map((reader) => reader.answer()));
    expect(answers.filter(({ status }) => status === 'fulfilled').length).toBeGreaterThan(20);
  });

  it('is not kept for a client that disconnected before it was made', async () => {
    const readers = await Promise.all(tokens.map((token) => ask(instance, token, pages(700))));
    await delay(20);
    for (const reader of readers) reader.close();
    // Answers are made one after the other, so the earlier ones are made by then.
    await waitFor(async () => (await viewer(instance, tokens.at(-1) as string)).status === 200, { what: 'an answer' });
    await waitFor(async () => (await unreadBytes(instance)) === 0, { what: 'nothing that waits' });
  });

  it('keeps no instance from stopping', async () => {
    const stopping = await world.start({ MAX_ANSWER_BYTES: '16777216' });
    await ask(stopping, kim.token, pages(700));
    await waitFor(async () => (await unreadBytes(stopping)) > 0, { what: 'an answer that waits' });
    const startedAt = performance.now();
    expect(await stopping.stop()).toBe(0);
    expect(performance.now() - startedAt).toBeLessThan(10_000);
  });

  describe('on a WebSocket', () => {
    const connect = async (to: Instance, token: string): Promise<RawSocket> => {
      const socket = await RawSocket.connect(to, token);
      onTestFinished(() => socket.ws.terminate());
      return socket;
    };

    it('differs from one that is read slowly, which arrives whole', async () => {
      const reader = await open(instance);
      reader.upgrade();
      reader.sendFrame({ type: 'connection_init', payload: { authorization: `Bearer ${kim.token}` } });
      await reader.read({ until: 'connection_ack' });
      const startedAt = performance.now();
      reader.sendFrame({ id: 'large', type: 'subscribe', payload: pages(700) });
      await reader.read({ everyMs: 25, until: '{"id":"large","type":"complete"}' });
      expect(reader.receivedBytes).toBeGreaterThan(huge);
      expect(performance.now() - startedAt).toBeGreaterThan(2 * sendTimeoutMs);
    });

    it('is cut if nothing of it is read, and its memory is freed', async () => {
      const sockets = await Promise.all(tokens.slice(0, 10).map((token) => connect(instance, token)));
      for (const socket of sockets) {
        socket.ws.pause();
        socket.subscribe('large', pages(700));
      }
      await waitFor(async () => (await unreadBytes(instance)) > huge, { what: 'answers that wait' });
      await waitFor(async () => (await unreadBytes(instance)) === 0, { what: 'their end' });
      for (const socket of sockets) {
        socket.ws.resume();
        expect([1006, 4490]).toContain(await socket.closeCode());
      }
    });

    const refusalOf = (socket: RawSocket) =>
      waitFor(async () => (await socket.ask({ query: '{ viewer { id } }' })).errors?.[0], { what: 'a refusal' });

    it('counts for its user, even if it answers a mutation', async () => {
      const patient = await world.start();
      const room = await kim.group(5);
      await fill(room);
      const reader = await connect(patient, kim.token);
      const other = await connect(patient, kim.token);
      reader.ws.pause();
      const inspector = await Inspector.attach(patient);
      onTestFinished(() => inspector.detach());
      const before = await inspector.retainedBytes();
      const fields = 'message { room { messages(last: 100) { edges { node { a: content b: content } } } } }';
      for (let count = 0; count < 50; count += 1) {
        const input = { roomId: room, content: 'one more' };
        const query = `mutation ($input: SendMessageInput!) { sendMessage(input: $input) { ${fields} } }`;
        reader.subscribe(`send-${count}`, { query, variables: { input } });
      }
      let peak = 0;
      const look = async () => {
        peak = Math.max(peak, (await inspector.retainedBytes()) - before);
        return peak;
      };
      const refusal = refusalOf(other);
      await waitFor(async () => (await look()) > 3 * maxAnswerBytes, { what: 'answers that wait' });
      await waitFor(
        async () => {
          await look();
          return (await readMetrics(patient)).get('fairway_sockets') === 1;
        },
        { what: 'the end of the one that does not read' },
      );
      // Four of the largest answers may wait; others are being made or belong to a closing socket.
      expect(peak).toBeLessThan(20 * maxAnswerBytes);
      expect((await refusal).extensions).toEqual({ code: 'RATE_LIMITED', retryAfterMs: 1_000 });
    });
  });

  /** Fills the room with a hundred essays. */
  async function fill(room: string): Promise<void> {
    await world.database.query(
      `INSERT INTO chat_messages (id, room_id, seq, changed_seq, sender_id, sender_name, type, content)
       SELECT gen_random_uuid(), $1, n, n, $2, 'kim', 'TEXT', $3 FROM generate_series(2, 101) n`,
      [room, kimId, essay],
    );
    await world.database.query('UPDATE chat_rooms SET seq = 101, published_seq = 101 WHERE id = $1', [room]);
  }

  /** A query for so many essays of the room: a hundred messages, with as many aliases as it takes. */
  function pages(essays: number) {
    const first = Math.min(essays, 100);
    const aliases = Array.from({ length: essays / first }, (_, index) => `c${index}: content`);
    return {
      query: `query ($id: ID!) { room(id: $id) { messages(last: ${first}) { edges { node { ${aliases.join(' ')} } } } } }`,
      variables: { id: roomId },
    };
  }

  async function open(to: Instance): Promise<Reader> {
    const reader = await Reader.connect(to);
    onTestFinished(() => reader.close());
    return reader;
  }

  async function ask(to: Instance, token: string, ...operations: readonly unknown[]): Promise<Reader> {
    const reader = await open(to);
    reader.ask(token, ...operations);
    return reader;
  }

  const viewer = (to: Instance, token: string) =>
    postOperation(to, { query: '{ viewer { id } }' }, { authorization: `Bearer ${token}` });

  const residentBytes = async (of: Instance) => (await readMetrics(of)).get('process_resident_memory_bytes') ?? 0;

  const unreadBytes = async (of: Instance) => (await readMetrics(of)).get('fairway_unread_bytes') ?? 0;
});
