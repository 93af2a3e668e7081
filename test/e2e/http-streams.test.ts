import { request } from 'node:http';
import { beforeAll, expect, it } from 'vitest';
import type { TestClient } from '../support/client.js';
import type { Instance } from '../support/instance.js';
import { metricsEnv, readMetrics } from '../support/metrics.js';
import { apolloAccept, MultipartStream } from '../support/multipart.js';
import { inboxEvents, messageAdded, presence, removeMember, roomEvents, typing } from '../support/operations.js';
import { RawHttp } from '../support/raw-http.js';
import { describeWithNats } from '../support/requirements.js';
import { forgeToken } from '../support/tokens.js';
import { waitFor } from '../support/wait-for.js';
import { postOperation } from '../support/wire.js';
import { useWorld } from '../support/world.js';

/** Apollo Client treats a connection without heartbeats as lost; its own protocol sends one every 5 s. */
const heartbeatMs = 5_000;
const held = ['streams', 'room_feeds', 'typing_rooms', 'watched_users', 'inboxes'].map((name) => `fairway_${name}`);

describeWithNats('a subscription over HTTP', () => {
  const world = useWorld({ instances: 1, env: metricsEnv });
  let instance: Instance;
  let kim: TestClient;
  let room: string;
  /** The number of NATS subjects of an instance without subscribers. */
  let idleSubjects: number | undefined;

  beforeAll(async () => {
    instance = world.instances[0] as Instance;
    idleSubjects = (await readMetrics(instance)).get('fairway_nats_subjects');
    kim = await world.client(4);
    room = await kim.group(5);
  });

  const watch = (roomId = room, afterSeq = 0) => ({ query: roomEvents.toString(), variables: { roomId, afterSeq } });

  it('comes in parts, with heartbeats between them and a last boundary', async () => {
    const lee = await world.client(5);
    const roomId = await kim.group(5);
    const startedAt = performance.now();
    const stream = await MultipartStream.open(instance.url, lee.token, watch(roomId));
    await stream.count(2);
    await kim.send(roomId, '나눠서 보내요\r\n--graphql');
    await stream.count(3);
    await waitFor(() => stream.parts.some((part) => Object.keys(part).length === 0), { what: 'a heartbeat' });
    expect(performance.now() - startedAt).toBeGreaterThan(heartbeatMs - 500);
    await kim.http(removeMember, { input: { roomId, userId: '5' } });

    expect(await stream.ended()).toBe('complete');
    expect(stream.events).toEqual([
      { roomEvents: expect.objectContaining({ __typename: 'MessageAdded', seq: 1 }) },
      { roomEvents: expect.objectContaining({ __typename: 'RoomReady', seq: 1 }) },
      {
        roomEvents: expect.objectContaining({
          seq: 2,
          message: expect.objectContaining({ content: '나눠서 보내요\r\n--graphql' }),
        }),
      },
    ]);
    expect(stream.parts.at(-1)?.payload?.errors).toEqual([
      expect.objectContaining({ extensions: expect.objectContaining({ code: 'FORBIDDEN' }) }),
    ]);
    await expectNothingHeld();
  });

  it('needs a token that has not expired, because it ends with it; a query is still answered for a moment', async () => {
    const token = await forgeToken({ exp: Math.floor(Date.now() / 1_000) - 5 });
    const authorization = { authorization: `Bearer ${token}` };
    for (const accept of ['text/event-stream', apolloAccept]) {
      const headers = { ...headersOf(accept), ...authorization };
      const refused = await fetch(`${instance.url}/graphql`, {
        method: 'POST',
        headers,
        body: JSON.stringify(watch()),
      });
      expect(refused.status).toBe(401);
      expect(await refused.json()).toMatchObject({ errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] });
    }
    expect((await postOperation(instance, { query: '{ viewer { id } }' }, authorization)).data).toEqual({
      viewer: { id: '4' },
    });
  });

  it('is not buffered by a proxy on its way', async () => {
    for (const accept of ['text/event-stream', apolloAccept]) {
      const abort = new AbortController();
      const { headers, status } = await open('POST', accept, watch(), abort.signal);
      expect(status).toBe(200);
      expect(headers.get('x-accel-buffering')).toBe('no');
      expect(headers.get('cache-control')).toBe('no-store, no-transform');
      abort.abort();
    }
    await expectNothingHeld();
  });

  it.each([
    ['POST', 'application/json'],
    ['POST', 'application/graphql-response+json'],
    ['POST', 'application/graphql-response+json, application/json;q=0.9, text/event-stream;q=0'],
    ['POST', 'multipart/mixed, application/json'],
    ['POST', 'multipart/mixed;deferSpec=20220824, application/json'],
    ['POST', 'text/html'],
    ['POST', 'multipart/mixed'],
    ['GET', 'application/json'],
    ['HEAD', 'text/event-stream'],
    ['PUT', 'text/event-stream'],
  ])('is refused to a %s that accepts %s before anything is subscribed to', async (method, accept) => {
    const subscriptions = [
      watch(),
      { query: messageAdded.toString(), variables: { roomId: room } },
      { query: typing.toString(), variables: { roomId: room } },
      { query: presence.toString(), variables: { userIds: ['4', '5'] } },
      { query: inboxEvents.toString(), variables: {} },
    ];
    for (const subscription of subscriptions) {
      const response = await open(method, accept, subscription);
      const text = await response.text();
      expect(response.status).toBe(method === 'HEAD' || method === 'PUT' ? 405 : 406);
      expect(response.headers.get('content-type')).toMatch(/^application\/(graphql-response\+)?json; charset=utf-8$/);
      if (method !== 'HEAD')
        expect(JSON.parse(text)).toMatchObject({ errors: [{ extensions: { code: 'BAD_USER_INPUT' } }] });
    }
    await expectNothingHeld();
  });

  it('leaves nothing behind if its client disconnects before the first byte', async () => {
    for (const accept of ['text/event-stream', apolloAccept, 'application/json']) {
      for (let waitedMs = 0; waitedMs < 20; waitedMs += 1) {
        const sent = request(`${instance.url}/graphql`, { method: 'POST', headers: headersOf(accept) });
        sent.on('error', () => undefined);
        sent.end(JSON.stringify(watch()));
        await new Promise((resolve) => setTimeout(resolve, waitedMs));
        sent.destroy();
      }
    }
    await expectNothingHeld();
  });

  it('leaves nothing behind if a connection with several of them is cut', async () => {
    const body = JSON.stringify(watch());
    const head = Object.entries({ ...headersOf('text/event-stream'), host: 'chat', 'content-length': body.length });
    const one = ['POST /graphql HTTP/1.1', ...head.map(([name, value]) => `${name}: ${value}`), '', body].join('\r\n');
    const connection = await RawHttp.connect(instance);
    connection.write(one.repeat(9));
    await waitFor(() => connection.received.includes('RoomReady'), { what: 'the first stream' });
    connection.close();
    await expectNothingHeld();
  });

  it('does not keep an instance from stopping after a connection with many pipelined requests was cut', async () => {
    const stopping = await world.start();
    const ask = (path: string) => `GET ${path} HTTP/1.1\r\nHost: chat\r\n\r\n`;
    for (let times = 0; times < 10; times += 1) {
      const connection = await RawHttp.connect(stopping);
      connection.write(ask('/readyz') + ask('/healthz').repeat(20));
      connection.close();
    }
    const startedAt = performance.now();
    await stopping.stop();
    // Stopping waits up to 5 s for running requests.
    expect(performance.now() - startedAt).toBeLessThan(4_500);
  });

  it('does not run a mutation if the client does not accept the type of its answer', async () => {
    const query = `mutation { sendMessage(input: { roomId: "${room}", content: "x" }) { duplicate } }`;
    const headers = { authorization: `Bearer ${kim.token}` };
    const before = await postOperation(instance, { query: `{ room(id: "${room}") { seq } }` }, headers);
    const refused = await postOperation(instance, { query }, { ...headers, accept: 'image/png' });
    expect([refused.status, refused.errors?.[0]?.extensions.code]).toEqual([406, 'BAD_USER_INPUT']);
    const after = await postOperation(instance, { query: `{ room(id: "${room}") { seq } }` }, headers);
    expect(after.data).toEqual(before.data);
  });

  const headersOf = (accept: string) => ({
    'content-type': 'application/json',
    accept,
    authorization: `Bearer ${kim.token}`,
  });

  function open(
    method: string,
    accept: string,
    operation: { query: string; variables: object },
    signal: AbortSignal | null = null,
  ): Promise<Response> {
    const headers = headersOf(accept);
    if (method === 'POST') {
      return fetch(`${instance.url}/graphql`, { method, headers, body: JSON.stringify(operation), signal });
    }
    const parameters = new URLSearchParams({
      query: operation.query,
      variables: JSON.stringify(operation.variables),
    });
    return fetch(`${instance.url}/graphql?${parameters}`, { method, headers, signal });
  }

  async function expectNothingHeld(): Promise<void> {
    await waitFor(
      async () => {
        const figures = await readMetrics(instance);
        expect(held.map((name) => [name, figures.get(name)])).toEqual(held.map((name) => [name, 0]));
        expect(figures.get('fairway_nats_subjects')).toBe(idleSubjects);
        return true;
      },
      { what: 'nothing to be held' },
    );
  }
});
