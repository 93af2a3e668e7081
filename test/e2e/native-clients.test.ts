import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getIntrospectionQuery } from 'graphql';
import { v4 as uuid } from 'uuid';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import {
  type ApolloWire,
  apolloIos,
  apolloKotlin,
  type Carried,
  operationNames,
  operationText,
  sha256,
  type WireOperation,
} from '../support/apollo-wire.js';
import { names, type TestClient } from '../support/client.js';
import type { Instance } from '../support/instance.js';
import { removeMember } from '../support/operations.js';
import { RawHttp } from '../support/raw-http.js';
import { describeWithNats } from '../support/requirements.js';
import { waitFor } from '../support/wait-for.js';
import { type Answer, postBody, RawSocket, readAnswer, type ServerMessage } from '../support/wire.js';
import { useWorld } from '../support/world.js';

const hashAlone: Carried = { text: false, hash: true };
const both: Carried = { text: true, hash: true };

const clients: Readonly<Record<string, ApolloWire>> = { 'Apollo iOS': apolloIos, 'Apollo Kotlin': apolloKotlin };

const graphqlJson = 'application/graphql-response+json; charset=utf-8';
/** The heartbeats of the multipart protocol come every 5 s. */
const heartbeat = '\r\nContent-Type: application/json\r\n\r\n{}\r\n--graphql';

let folder: string;
let manifest: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'fairway-native-'));
  manifest = join(folder, 'operations.json');
  // As both code generators write it.
  const operations = Object.values(clients).flatMap((wire) =>
    operationNames.map((name) => {
      const body = wire.textOf(operationText(name));
      return { id: sha256(body), name, type: 'query', body };
    }),
  );
  writeFileSync(manifest, JSON.stringify({ format: 'apollo-persisted-query-manifest', version: 1, operations }));
});
afterAll(() => rmSync(folder, { recursive: true }));

it('is replayed with the bytes of its sources', () => {
  const operation: WireOperation = { name: 'Typing', variables: { roomId: 'a/b' } };
  const ios =
    'subscription Typing($roomId: ID!) { typing(roomId: $roomId) { __typename roomId room { __typename id typing { __typename id name } } users { __typename id name } } }';
  expect(apolloIos.subscribe('1', operation, both)).toBe(
    `{"type":"subscribe","id":"1","payload":{"extensions":{"clientLibrary":{"name":"apollo-ios","version":"2.4.0"},"persistedQuery":{"sha256Hash":"${sha256(ios)}","version":1}},"operationName":"Typing","query":"${ios}","variables":{"roomId":"a\\/b"}}}`,
  );
  const kotlin =
    'subscription Typing($roomId: ID!) { typing(roomId: $roomId) { roomId room { id typing { id name } } users { id name } } }';
  expect(apolloKotlin.subscribe('1', operation, both)).toBe(
    `{"type":"subscribe","id":"1","payload":{"query":"${kotlin}","operationName":"Typing","variables":{"roomId":"a/b"},"extensions":{"persistedQuery":{"version":1,"sha256Hash":"${sha256(kotlin)}"},"clientLibrary":{"name":"apollo-kotlin","version":"5.1.0"}}}}`,
  );
  const fragments = operationText('RoomEvents');
  expect(apolloIos.textOf(fragments)).toMatch(
    / message \{ __typename \.\.\.MessageParts \} .*\}\nfragment MessageParts on Message \{ __typename id /,
  );
  expect(apolloKotlin.textOf(fragments)).toMatch(
    / message \{ __typename \.\.\.MessageParts \} .*\} {2}fragment MessageParts on Message \{ id /,
  );
});

describeWithNats('a native client', () => {
  const world = useWorld({ instances: 0 });
  /** An instance without the manifest of the clients. */
  let plain: Instance;
  let registered: Instance;
  let strict: Instance;
  let kim: TestClient;
  let lee: TestClient;

  beforeAll(async () => {
    plain = await world.start();
    registered = await world.start({ TRUSTED_DOCUMENTS: manifest, INTROSPECTION: 'off' });
    strict = await world.start({ TRUSTED_DOCUMENTS: manifest, TRUSTED_DOCUMENTS_ONLY: 'true', GRAPHIQL: '' });
    kim = await world.client(4);
    lee = await world.client(5);
  });

  async function openSocket(wire: ApolloWire, to = plain): Promise<RawSocket> {
    const socket = new RawSocket(to);
    onTestFinished(() => socket.ws.terminate());
    await socket.opened();
    socket.ws.send(wire.connectionInit(kim.token));
    await socket.until(({ type }) => type === 'connection_ack', 'the acknowledgement');
    return socket;
  }

  /** Sends a request of exactly these bytes; resolves with the whole answer. */
  async function exchange(head: readonly string[], body = '', to = plain) {
    const http = await RawHttp.connect(to);
    onTestFinished(() => http.close());
    http.write(requestOf(head, body, to));
    const answer = await http.answer();
    const type = /^content-type: (.*)$/im.exec(answer.head)?.[1];
    const parsed = type?.includes('json') ? (JSON.parse(answer.body) as Answer) : ({} as Answer);
    return { ...answer, ...parsed, type };
  }

  const post = (wire: ApolloWire, operation: WireOperation, carried?: Carried, to = plain) =>
    exchange(['POST /graphql HTTP/1.1', ...wire.headers('operation', kim.token)], wire.body(operation, carried), to);

  const roomEvents = (roomId: string, position: Record<string, unknown> = {}): WireOperation => ({
    name: 'RoomEvents',
    variables: { roomId, ...position },
  });
  const sendMessage = (id: string, roomId: string, content: string): WireOperation => ({
    name: 'SendMessage',
    variables: { input: { content, id, roomId } },
  });

  describe.each(Object.entries(clients))('%s', (_name, wire) => {
    it('opens a socket with the token in connection_init, or in a header of the upgrade', async () => {
      const socket = await openSocket(wire);
      expect(socket.ws.protocol).toBe('graphql-transport-ws');
      expect(socket.messages).toEqual([{ type: 'connection_ack' }]);

      // WebSocketTransport.updateHeaderValues(_:) in Apollo iOS, ApolloClient.Builder.addHttpHeader() in Apollo Kotlin
      const other = new RawSocket(plain, { Authorization: `Bearer ${kim.token}` });
      onTestFinished(() => other.ws.terminate());
      await other.opened();
      other.ws.send(wire.connectionInit());
      await other.until(({ type }) => type === 'connection_ack', 'the acknowledgement');
    });

    it('is closed with 4403 and a reason if its token is bad', async () => {
      const socket = new RawSocket(plain);
      await socket.opened();
      socket.ws.send(wire.connectionInit('stale'));
      expect(await socket.closeCode()).toBe(4403);
      expect(socket.closed?.reason).not.toBe('');
    });

    it('gets a pong for its ping, and may send a pong at any time', async () => {
      const socket = await openSocket(wire);
      socket.ws.send(wire.pong);
      socket.ws.send(wire.ping);
      await socket.until(({ type }) => type === 'pong', 'the pong');
      expect(socket.messages).toEqual([{ type: 'connection_ack' }, { type: 'pong' }]);
    });

    it('receives the events of a room, resumes after the last one, and unsubscribes', async () => {
      const roomId = await kim.group(5);
      const socket = await openSocket(wire);
      const first = '1';
      socket.ws.send(wire.subscribe(first, roomEvents(roomId.toUpperCase())));
      const [ready] = await events(socket, first, 1);
      expect(ready).toEqual({ __typename: 'RoomReady', seq: 1, epoch: expect.any(String) });
      await lee.send(roomId, '안녕하세요');
      const [, added] = await events(socket, first, 2);
      expect(added).toMatchObject({
        __typename: 'MessageAdded',
        seq: 2,
        message: {
          content: '안녕하세요',
          senderName: names[5],
          createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
        },
      });

      socket.ws.send(wire.complete(first));
      await lee.send(roomId, '안 보여요');
      const second = uuid();
      socket.ws.send(wire.subscribe(second, roomEvents(roomId, { afterSeq: 2, epoch: ready?.epoch })));
      const rest = await events(socket, second, 2);
      expect(rest.map(({ __typename, seq }) => [__typename, seq])).toEqual([
        ['MessageAdded', 3],
        ['RoomReady', 3],
      ]);
      expect(await events(socket, first, 2)).toHaveLength(2);
    });

    it('gets the code of a subscription that is refused or ends in a last result', async () => {
      const roomId = await lee.group(4);
      const socket = await openSocket(wire);
      socket.ws.send(wire.subscribe('1', roomEvents(uuid())));
      socket.ws.send(wire.subscribe('2', roomEvents(roomId)));
      await events(socket, '2', 1);
      await lee.http(removeMember, { input: { roomId, userId: '4' } });
      await socket.until(({ type, id }) => type === 'complete' && id === '2', 'the end');
      const lastOf = (key: string) => socket.messages.filter(({ id }) => id === key).slice(-2);
      expect(lastOf('1')).toMatchObject([
        { type: 'next', payload: { errors: [{ extensions: { code: 'NOT_FOUND' } }] } },
        { type: 'complete' },
      ]);
      expect(lastOf('2')).toMatchObject([
        { type: 'next', payload: { errors: [{ extensions: { code: 'FORBIDDEN' } }] } },
        { type: 'complete' },
      ]);
    });

    it('gets an error message for a document that is not valid', async () => {
      const socket = await openSocket(wire);
      socket.ws.send(wire.subscribe('1', roomEvents(uuid())).replaceAll('epoch', 'unknown'));
      expect(await socket.until(({ id }) => id === '1', 'the refusal')).toMatchObject({
        type: 'error',
        payload: expect.arrayContaining([expect.objectContaining({ extensions: { code: 'BAD_USER_INPUT' } })]),
      });
    });

    it('has one message under an upper-case id, however often and over whatever it is sent', async () => {
      const roomId = await kim.group(5);
      const id = uuid();
      const content = '사진은 https://example.org/a.jpg 입니다';
      // UUID().uuidString of Swift is upper-case.
      const operation = sendMessage(id.toUpperCase(), roomId.toUpperCase(), content);
      const socket = await openSocket(wire);
      socket.ws.send(wire.subscribe('1', roomEvents(roomId)));
      await events(socket, '1', 1);
      socket.ws.send(wire.subscribe('2', operation));
      const sent = await socket.until(({ type, id: key }) => type === 'next' && key === '2', 'the answer');
      expect(sent.payload).toMatchObject({ data: { sendMessage: { duplicate: false, message: { id, seq: 2 } } } });

      const retried = await post(wire, operation);
      expect(retried).toMatchObject({ status: 200, type: graphqlJson });
      expect(retried.data).toMatchObject({ sendMessage: { duplicate: true, message: { id, seq: 2 } } });
      const lower = await post(wire, sendMessage(id, roomId, content));
      expect(lower.data).toMatchObject({ sendMessage: { duplicate: true, message: { id, seq: 2 } } });

      await kim.send(roomId, 'the next one');
      const all = await events(socket, '1', 3);
      expect(all.map(({ seq, message }) => [seq, message?.id ?? null])).toEqual([
        [1, null],
        [2, id],
        [3, expect.any(String)],
      ]);
      expect(all[1]?.message?.content).toBe(content);
    });

    it('gets the status of the code for a request that is refused, and 200 for a refused field', async () => {
      const roomId = await kim.group(5);
      const conflict = uuid();
      await post(wire, sendMessage(conflict, roomId, 'one'));
      const refused = await post(wire, sendMessage(conflict, roomId, 'another'));
      expect(refused).toMatchObject({ status: 200, errors: [{ extensions: { code: 'CONFLICT' } }] });

      const stale = await exchange(
        ['POST /graphql HTTP/1.1', ...wire.headers('operation', 'stale')],
        wire.body(sendMessage(conflict, roomId, 'one')),
      );
      expect(stale).toMatchObject({
        status: 401,
        type: graphqlJson,
        errors: [{ extensions: { code: 'UNAUTHENTICATED' } }],
      });
      const broken = await post(wire, { name: 'SendMessage', variables: { input: { content: 'no room' } } });
      expect(broken).toMatchObject({
        status: 400,
        type: graphqlJson,
        errors: [{ extensions: { code: 'BAD_USER_INPUT' } }],
      });
    });

    it('sends ids of registered operations, over HTTP and in a socket', async () => {
      const list: WireOperation = { name: 'RoomList', variables: { first: 1 } };
      for (const to of [registered, strict]) {
        for (const carried of [hashAlone, both]) {
          const answer = await post(wire, list, carried, to);
          expect(answer).toMatchObject({ status: 200, data: { rooms: expect.anything() } });
        }
        const roomId = await kim.group(5);
        const socket = await openSocket(wire, to);
        for (const carried of [hashAlone, both, { text: true, hash: false }]) {
          const id = uuid();
          socket.ws.send(wire.subscribe(id, roomEvents(roomId), carried));
          expect(await events(socket, id, 1)).toMatchObject([{ __typename: 'RoomReady' }]);
        }
      }
    });

    it('reads PersistedQueryNotFound, or that nothing is registered, with status 200', async () => {
      const other: ApolloWire = { ...wire, body: (operation, carried) => changed(wire.body(operation, carried)) };
      const list: WireOperation = { name: 'RoomList', variables: { first: 1 } };
      const notFound = await post(other, list, hashAlone, registered);
      expect(notFound).toMatchObject({
        status: 200,
        errors: [{ message: 'PersistedQueryNotFound', extensions: { code: 'DOCUMENT_NOT_REGISTERED' } }],
      });
      const notSupported = await post(other, list, hashAlone, plain);
      expect(notSupported).toMatchObject({
        status: 200,
        errors: [{ message: 'PersistedQueryNotSupported', extensions: { code: 'BAD_USER_INPUT' } }],
      });
      // Apollo iOS reads no answer with this status (ResponseCodeInterceptor.swift), so it does not send the text.
      const refused = await post(other, list, hashAlone, strict);
      expect(refused).toMatchObject({ status: 400, errors: [{ extensions: { code: 'DOCUMENT_NOT_REGISTERED' } }] });
      for (const to of [registered, plain]) {
        expect(await post(other, list, both, to)).toMatchObject({ status: 200, data: { rooms: expect.anything() } });
      }

      const socket = await openSocket(wire, registered);
      socket.ws.send(changed(wire.subscribe('1', roomEvents(await kim.group(5)), hashAlone)));
      const refusal = await socket.until(({ id }) => id === '1', 'the refusal');
      expect(refusal).toMatchObject({ type: 'error', payload: [{ message: 'PersistedQueryNotFound' }] });
    });

    it('receives a room in parts, with heartbeats and a last boundary', async () => {
      const roomId = await lee.group(4);
      const http = await RawHttp.connect(plain);
      onTestFinished(() => http.close());
      const head = ['POST /graphql HTTP/1.1', ...wire.headers('subscription', kim.token)];
      http.write(requestOf(head, wire.body(roomEvents(roomId, { afterSeq: 1 })), plain));
      const text = () => joinChunks(http.received);

      await waitFor(() => text().includes('RoomReady'), { what: 'the first part' });
      expect(http.received).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
      // Apollo iOS compares the parameter with exactly this text: HTTPURLResponse+MultipartHeaderComponents.swift
      expect(http.received).toMatch(/^content-type: multipart\/mixed;boundary=graphql;subscriptionSpec=1\.0\r$/im);
      expect(text()).toMatch(
        /^\r\n--graphql\r\nContent-Type: application\/json\r\n\r\n\{"payload":\{"data":\{"roomEvents":\{[^\r]*\}\}\}\}\r\n--graphql$/,
      );
      await waitFor(() => text().endsWith(heartbeat), { what: 'a heartbeat' });
      await lee.http(removeMember, { input: { roomId, userId: '4' } });
      await waitFor(() => http.received.endsWith('0\r\n\r\n'), { what: 'the end' });
      expect(text()).toMatch(/\r\n\r\n\{"payload":\{[^\r]*"code":"FORBIDDEN"[^\r]*\}\}\r\n--graphql--\r\n$/);
    });

    it('gets a refused subscription over HTTP as JSON with the status of its code', async () => {
      const head = ['POST /graphql HTTP/1.1', ...wire.headers('subscription', kim.token)];
      const refused = await exchange(head, wire.body(roomEvents(uuid())));
      expect(refused).toMatchObject({
        status: 404,
        type: graphqlJson,
        errors: [{ extensions: { code: 'NOT_FOUND' } }],
      });
    });

    it('gets a clear refusal of @defer', async () => {
      const query = 'query Room { rooms(first: 1) { edges { node { id ... @defer { title } } } } }';
      const head = ['POST /graphql HTTP/1.1', ...wire.headers('operation', kim.token)];
      expect(await exchange(head, JSON.stringify({ query, operationName: 'Room' }))).toMatchObject({
        status: 400,
        errors: [{ message: 'Unknown directive "@defer".', extensions: { code: 'BAD_USER_INPUT' } }],
      });
    });
  });

  describe('Apollo Kotlin', () => {
    it('gets a pong for each ping of OkHttp, which watches the connection', async () => {
      const socket = await openSocket(apolloKotlin);
      socket.ws.ping();
      await once(socket.ws, 'pong');
    });

    it('reads with GET what it sends by id', async () => {
      // AutoPersistedQueryInterceptor.kt and DefaultHttpRequestComposer.kt
      const parameters = new URLSearchParams(
        Object.entries(JSON.parse(apolloKotlin.body({ name: 'RoomList', variables: { first: 1 } }, hashAlone))).map(
          ([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)],
        ),
      );
      const head = [
        `GET /graphql?${parameters} HTTP/1.1`,
        'Apollo-Require-Preflight: true',
        ...apolloKotlin.headers('operation', kim.token).slice(0, 2),
      ];
      expect(await exchange(head, '', registered)).toMatchObject({ status: 200, data: { rooms: expect.anything() } });
    });

    it('gets a clear refusal of a batch', async () => {
      // network/http/BatchingHttpInterceptor.kt: the bodies in one array, and a length that is not known
      const body = `[${['one', 'two'].map(() => apolloKotlin.body({ name: 'RoomList', variables: { first: 1 } })).join(',')}]`;
      const head = ['POST /graphql HTTP/1.1', ...apolloKotlin.headers('operation', kim.token)];
      const chunked = [...head, 'Transfer-Encoding: chunked'];
      const refused = await exchange(chunked, `${Buffer.byteLength(body).toString(16)}\r\n${body}\r\n0\r\n\r\n`);
      expect(refused).toMatchObject({
        status: 400,
        type: graphqlJson,
        errors: [{ message: 'Batching is not supported.', extensions: { code: 'BAD_USER_INPUT' } }],
      });
    });
  });

  describe('an older client', () => {
    it('is closed with 4406 if it offers the subprotocol graphql-ws', async () => {
      // network/ws/SubscriptionWsProtocol.kt in Apollo Kotlin, DefaultImplementation/WebSocket.swift in Apollo iOS 1
      const { head, frame } = await upgradeWith('graphql-ws');
      expect(head).toMatch(/^HTTP\/1\.1 101 /);
      expect(head).not.toMatch(/sec-websocket-protocol/i);
      expect(frame.readUInt16BE(0)).toBe(4406);
      expect(frame.subarray(2).toString()).toBe('Subprotocol not acceptable');
    });

    it('ends the handshake itself if it sees that its subprotocol was not chosen, as browsers do', async () => {
      const socket = new WebSocket(`${plain.url.replace('http', 'ws')}/graphql`, 'graphql-ws');
      let closeCode: number | undefined;
      socket.on('error', () => undefined);
      socket.on('close', (code) => {
        closeCode = code;
      });
      expect(await waitFor(() => closeCode, { what: 'the end of the handshake' })).toBe(1006);
    });

    it('gets a clear refusal of a single connection for server-sent events', async () => {
      // graphql-sse, PROTOCOL.md: a client reserves its stream with PUT
      const reserved = await exchange([
        'PUT /graphql HTTP/1.1',
        `Authorization: Bearer ${kim.token}`,
        'Content-Length: 0',
      ]);
      expect(reserved).toMatchObject({ status: 405, errors: [{ extensions: { code: 'BAD_USER_INPUT' } }] });
      expect(reserved.head).toMatch(/^allow: GET, POST/im);
    });

    it('may send the headers with the name and id of an operation', async () => {
      const head = [
        'POST /graphql HTTP/1.1',
        ...apolloKotlin.headers('operation', kim.token),
        'X-APOLLO-OPERATION-NAME: RoomList',
        `X-APOLLO-OPERATION-ID: ${'a'.repeat(64)}`,
        'apollographql-client-name: example',
        'apollographql-client-version: 1.0',
      ];
      const answer = await exchange(head, apolloKotlin.body({ name: 'RoomList', variables: { first: 1 } }));
      expect(answer).toMatchObject({ status: 200, data: { rooms: expect.anything() } });
    });
  });

  describe('what is not supported (the table in docs/clients.md)', () => {
    const [newJson, plainJson] = ['application/graphql-response+json', 'application/json'];
    const refusal = (message: string) => ({ errors: [{ message, extensions: { code: 'BAD_USER_INPUT' } }] });
    const authorization = () => ({ authorization: `Bearer ${kim.token}` });
    const postJson = (accept: string, body: unknown) =>
      postBody(plain, JSON.stringify(body), { accept, 'content-type': plainJson, ...authorization() });

    it.each([newJson, plainJson])('refuses a batch with 400 to a client that accepts %s', async (accept) => {
      const answer = await postJson(accept, [{ query: '{ viewer { id } }' }, { query: '{ unreadCount }' }]);
      expect(answer).toMatchObject({ status: 400, ...refusal('Batching is not supported.') });
    });

    it.each([
      ['@defer', '{ viewer { ... @defer { id } } }'],
      ['@stream', '{ rooms(first: 1) { edges @stream { node { id } } } }'],
    ])('knows no directive %s, over HTTP and in a socket', async (directive, query) => {
      const unknown = refusal(`Unknown directive "${directive}".`);
      expect(await postJson(newJson, { query })).toMatchObject({ status: 400, ...unknown });
      expect(await postJson(plainJson, { query })).toMatchObject({ status: 200, ...unknown });
      // As Apollo Client and graphql-js's clients ask for incremental delivery.
      const incremental = `multipart/mixed;deferSpec=20220824, ${plainJson}`;
      expect(await postJson(incremental, { query })).toMatchObject({ status: 200, ...unknown });
      const socket = await openSocket(apolloKotlin);
      expect(await socket.ask({ query })).toMatchObject(unknown);
    });

    it.each(['PUT', 'DELETE'])('has no single connection for server-sent events: %s is 405', async (method) => {
      const answer = await readAnswer(
        await fetch(`${plain.url}/graphql`, { method, headers: { accept: 'text/event-stream', ...authorization() } }),
      );
      expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'GET, POST']);
      expect(answer.errors?.[0]?.extensions.code).toBe('BAD_USER_INPUT');
    });

    it('takes no upload of the multipart request specification: 415', async () => {
      const form = new FormData();
      form.set('operations', JSON.stringify({ query: 'mutation ($file: Upload!) { a }', variables: { file: null } }));
      form.set('map', JSON.stringify({ 0: ['variables.file'] }));
      form.set('0', new Blob(['a picture']), 'a.jpg');
      const answer = await postBody(plain, form, { accept: plainJson, ...authorization() });
      expect(answer).toMatchObject({ status: 415, ...refusal('The body must be application/json') });
    });

    it('executes a persisted query that comes with its text, and does not keep it', async () => {
      const query = '{ viewer { id } }';
      const extensions = { persistedQuery: { version: 1, sha256Hash: sha256(query) } };
      expect(await postJson(newJson, { query, extensions })).toMatchObject({
        status: 200,
        data: { viewer: { id: '4' } },
      });
      const alone = await postJson(newJson, { extensions });
      expect(alone).toMatchObject({ status: 200, ...refusal('PersistedQueryNotSupported') });
      const byId = await postJson(newJson, { documentId: `sha256:${sha256(query)}` });
      expect(byId).toMatchObject({ status: 400, errors: [{ extensions: { code: 'DOCUMENT_NOT_REGISTERED' } }] });
    });
  });

  describe('the schema download', () => {
    const query = getIntrospectionQuery({ inputValueDeprecation: true, directiveIsRepeatable: true, oneOf: true });
    const body = JSON.stringify({ operationName: 'IntrospectionQuery', query });
    const downloads: Readonly<Record<string, readonly string[]>> = {
      // ApolloCodegenLib/ApolloSchemaDownloader.swift; URLSession accepts everything
      'Apollo iOS': ['Content-Type: application/json', 'Accept: */*'],
      // tooling/SchemaHelper.kt
      'Apollo Kotlin': [
        'Accept: application/graphql-response+json, application/json',
        'Content-Type: application/json',
      ],
    };

    it.each(Object.entries(downloads))(
      'of %s works without a token where introspection is on',
      async (_name, headers) => {
        const answer = await exchange(['POST /graphql HTTP/1.1', ...headers], body);
        expect(answer).toMatchObject({ status: 200, data: { __schema: { queryType: { name: 'Query' } } } });
      },
    );

    it.each(Object.entries(downloads))('of %s is refused where it is off', async (_name, headers) => {
      const { errors } = await exchange(['POST /graphql HTTP/1.1', ...headers], body, registered);
      expect(errors?.[0]).toMatchObject({
        message: expect.stringMatching(/^GraphQL introspection has been disabled/),
        extensions: { code: 'BAD_USER_INPUT' },
      });
    });
  });

  /** Offers one subprotocol; resolves with the head of the answer and the payload of the close frame. */
  async function upgradeWith(protocol: string) {
    const socket = connect(plain.port, '127.0.0.1');
    onTestFinished(() => void socket.destroy());
    await once(socket, 'connect');
    let received = Buffer.alloc(0);
    socket.on('data', (bytes) => {
      received = Buffer.concat([received, bytes]);
    });
    socket.write(
      [
        'GET /graphql HTTP/1.1',
        `Host: 127.0.0.1:${plain.port}`,
        'Connection: Upgrade',
        'Upgrade: websocket',
        'Sec-WebSocket-Version: 13',
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
        `Sec-WebSocket-Protocol: ${protocol}`,
        '\r\n',
      ].join('\r\n'),
    );
    const end = await waitFor(() => (received.includes('\r\n\r\n') ? received.indexOf('\r\n\r\n') + 4 : undefined), {
      what: 'the head',
    });
    const frame = await waitFor(
      () => (received[end + 1] === received.length - end - 2 ? received.subarray(end) : undefined),
      { what: 'the close frame' },
    );
    expect(frame[0]).toBe(0x88);
    return { head: received.subarray(0, end).toString(), frame: frame.subarray(2) };
  }
});

interface RoomEvent {
  readonly __typename: string;
  readonly seq: number;
  readonly epoch: string;
  readonly message?: { readonly id: string; readonly content: string };
}

/** Resolves with the events of a subscription of RoomEvents once there are so many. */
async function events(socket: RawSocket, id: string, count: number): Promise<RoomEvent[]> {
  const results = () => socket.messages.filter((message) => message.type === 'next' && message.id === id);
  await waitFor(() => results().length >= count, { what: `${count} events` });
  return results().map(
    (message: ServerMessage) => (message.payload as { data: { roomEvents: RoomEvent } }).data.roomEvents,
  );
}

/** The bytes of a request: its first line and headers as given, after them what every HTTP client adds. */
function requestOf([first, ...headers]: readonly string[], body: string, { port }: Instance): string {
  const isChunked = headers.some((header) => header.startsWith('Transfer-Encoding'));
  const length = body === '' || isChunked ? [] : [`Content-Length: ${Buffer.byteLength(body)}`];
  return `${[first, `Host: 127.0.0.1:${port}`, ...headers, ...length].join('\r\n')}\r\n\r\n${body}`;
}

/** The body so far of a chunked response whose chunks are ASCII. */
function joinChunks(received: string): string {
  let rest = received.slice(received.indexOf('\r\n\r\n') + 4);
  let body = '';
  for (;;) {
    const end = rest.indexOf('\r\n');
    const length = Number.parseInt(rest.slice(0, end), 16);
    if (end < 0 || !(length > 0)) return body;
    body += rest.slice(end + 2, end + 2 + length);
    rest = rest.slice(end + 2 + length + 2);
  }
}

/** The same request for a document that nobody has registered: its hash and its text are others. */
const changed = (body: string): string =>
  body.replace(/("sha256Hash":")..../, '$10000').replace(/(query RoomList\([^)]*\) \{) /, '$1 unread: unreadCount ');
