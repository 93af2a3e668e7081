import { randomUUID } from 'node:crypto';
import { beforeAll, expect, it, onTestFinished } from 'vitest';
import type { TestClient } from '../support/client.js';
import type { Instance } from '../support/instance.js';
import { MultipartStream } from '../support/multipart.js';
import { describeWithNats } from '../support/requirements.js';
import { waitFor } from '../support/wait-for.js';
import { postOperation, RawSocket } from '../support/wire.js';
import { useWorld } from '../support/world.js';

const maxAnswerBytes = 65_536;
/** 16,000 bytes: four of them fit into an answer, five do not. */
const essay = '😀'.repeat(4_000);

const refusal = {
  data: null,
  errors: [
    { message: expect.stringContaining(`larger than ${maxAnswerBytes} bytes`), extensions: { code: 'BAD_USER_INPUT' } },
  ],
};

describeWithNats('an answer beyond MAX_ANSWER_BYTES', () => {
  const world = useWorld({ instances: 0 });
  let instance: Instance;
  let unbounded: Instance;
  let kim: TestClient;
  let roomId: string;

  beforeAll(async () => {
    instance = await world.start({ MAX_ANSWER_BYTES: String(maxAnswerBytes) });
    unbounded = await world.start();
    kim = await world.client(4);
    roomId = await kim.group(5);
    for (let count = 0; count < 5; count += 1) await kim.send(roomId, essay);
  });

  it('is refused over HTTP, and a smaller answer arrives byte for byte', async () => {
    for (const accept of ['application/json', 'application/graphql-response+json']) {
      const answer = await ask(instance, page(5), accept);
      expect(JSON.parse(answer.text)).toEqual(refusal);
      expect(answer.status).toBe(200);
      expect((await ask(instance, page(4), accept)).text).toBe((await ask(unbounded, page(4), accept)).text);
    }
    expect((await ask(unbounded, page(5))).text).toContain(essay);
    const { text } = await ask(instance, page(5), 'text/event-stream');
    expect(JSON.parse(dataOf(text))).toEqual(refusal);
  });

  it('is refused over a WebSocket, and the socket stays open', async () => {
    const socket = await connect();
    expect(payloadOf(await socket.ask(page(5), 'a "large" one'))).toEqual(refusal);
    await socket.until(({ type, id }) => type === 'complete' && id === 'a "large" one', 'its completion');
    const { data } = await socket.ask(page(4));
    expect(JSON.stringify(data)).toContain(essay);
  });

  it('arrives byte for byte over each transport if it is large and allowed', async () => {
    // 40 texts of 16 KB, and an error in front of them.
    const names = Array.from({ length: 8 }, (_, index) => `c${index}: content`).join(' ');
    const query = `query ($id: ID!) {
      error: room(id: "${randomUUID()}") { id } room(id: $id) { messages(last: 5) { edges { node { ${names} } } } } }`;
    const operation = { query, variables: { id: roomId } };
    const node = Object.fromEntries(Array.from({ length: 8 }, (_, index) => [`c${index}`, essay]));
    const edges = Array.from({ length: 5 }, () => ({ node }));
    const expected = JSON.stringify({ data: { error: null, room: { messages: { edges } } } });

    for (const accept of ['application/json', 'application/graphql-response+json']) {
      const answer = await ask(unbounded, operation, accept);
      expect(answer.status).toBe(200);
      expect(answer.text).toBe(expected);
    }
    expect(dataOf((await ask(unbounded, operation, 'text/event-stream')).text)).toBe(expected);
    const socket = await RawSocket.connect(unbounded, kim.token);
    onTestFinished(() => socket.ws.terminate());
    expect((await socket.ask(operation, 'a "large" one')).text).toBe(
      `{"id":"a \\"large\\" one","type":"next","payload":${expected}}`,
    );
    await socket.until(({ type, id }) => type === 'complete' && id === 'a "large" one', 'its completion');
    expect((await socket.ask({ query: '{ viewer { id } }', variables: {} }, 'next')).errors).toBeUndefined();
  });

  it('says that the mutation is done', async () => {
    const send = (id: string, fields: string) => ({
      query: `mutation ($input: SendMessageInput!) { sendMessage(input: $input) { duplicate message { ${fields} } } }`,
      variables: { input: { roomId, id, content: essay } },
    });
    const socket = await connect();
    const asks = [(operation: Operation) => ask(instance, operation), (operation: Operation) => socket.ask(operation)];
    for (const askFor of asks) {
      const id = randomUUID();
      const { errors } = await askFor(send(id, five));
      expect(errors).toMatchObject([
        { message: expect.stringMatching(/^The operation is done, /), extensions: { code: 'BAD_USER_INPUT' } },
      ]);
      expect(await askFor(send(id, 'id'))).toMatchObject({
        data: { sendMessage: { duplicate: true, message: { id } } },
      });
    }
  });

  it('is refused as an event, and the subscription goes on', async () => {
    const room = await kim.group(5);
    const first = await kim.send(room, essay);
    const last = await kim.send(room, 'small');
    const operation = (fields: string) => ({
      query: `subscription ($id: ID!, $after: Int) { messageAdded(roomId: $id, afterSeq: $after) { seq ${fields} } }`,
      variables: { id: room, after: first.message.seq - 1 },
    });
    const expected = [refusal, { data: { messageAdded: { seq: last.message.seq, ...contents('small') } } }];

    const socket = await connect();
    socket.subscribe('events', operation(five));
    const events = () => socket.messages.filter(({ id, type }) => id === 'events' && type === 'next');
    await waitFor(() => events().length === 2, { what: 'both events over a WebSocket' });
    expect(events().map(({ payload }) => payload)).toEqual(expected);

    const parts = await MultipartStream.open(instance.url, kim.token, operation(five));
    onTestFinished(() => parts.stop());
    const payloads = () => parts.parts.flatMap(({ payload }) => (payload === undefined ? [] : [payload]));
    await waitFor(() => payloads().length === 2, { what: 'both events in parts' });
    expect(payloads()).toEqual(expected);

    expect(await readEvents(operation(five), 2)).toEqual(expected);
  });

  interface Operation {
    readonly query: string;
    readonly variables: unknown;
  }

  const five = 'a: content b: content c: content d: content e: content';
  const contents = (text: string) => Object.fromEntries([...'abcde'].map((name) => [name, text]));

  const page = (messages: number): Operation => ({
    query: 'query ($id: ID!, $n: Int!) { room(id: $id) { messages(last: $n) { edges { node { content } } } } }',
    variables: { id: roomId, n: messages },
  });

  const ask = (to: Instance, operation: Operation, accept = 'application/json') =>
    postOperation(to, operation, { accept, authorization: `Bearer ${kim.token}` });

  async function connect(): Promise<RawSocket> {
    const socket = await RawSocket.connect(instance, kim.token);
    onTestFinished(() => socket.ws.terminate());
    return socket;
  }

  /** The first events of a subscription over SSE. */
  async function readEvents(operation: Operation, count: number): Promise<unknown[]> {
    const abort = new AbortController();
    onTestFinished(() => abort.abort());
    const { body } = await fetch(`${instance.url}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'text/event-stream',
        authorization: `Bearer ${kim.token}`,
      },
      body: JSON.stringify(operation),
      signal: abort.signal,
    });
    let text = '';
    for await (const chunk of body?.pipeThrough(new TextDecoderStream()) ?? []) {
      text += chunk;
      const events = text.split('\n\n').filter((block) => block.startsWith('event: next'));
      if (events.length >= count && text.endsWith('\n\n')) return events.map((block) => JSON.parse(dataOf(block)));
    }
    return [];
  }
});

const dataOf = (block: string): string => /^data: (.+)$/m.exec(block)?.[1] ?? '';

const payloadOf = ({ text }: { readonly text: string }): unknown =>
  (JSON.parse(text) as { readonly payload: unknown }).payload;
