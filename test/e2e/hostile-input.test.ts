import { randomUUID } from 'node:crypto';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { TestClient } from '../support/client.js';
import type { Instance } from '../support/instance.js';
import { oneRoom, roomEvents, sendMessage } from '../support/operations.js';
import { describeWithNats } from '../support/requirements.js';
import { forgeToken, nowSeconds } from '../support/tokens.js';
import { type Answer, postBody, postOperation, RawSocket, readAnswer } from '../support/wire.js';
import { useWorld } from '../support/world.js';

const issuer = 'https://platform.example';
const audience = 'chat';
const friend = 'https://app.example.com';
const foreigner = 'https://evil.example.com';
const transports = ['HTTP', 'WebSocket'] as const;
type Operation = Parameters<typeof postOperation>[1];
type Transport = (typeof transports)[number];

/** room.lastMessage.room and so on, until that many fields are nested. */
const nest = (depth: number): string => {
  let inner = 'id';
  for (let level = depth - 1; level > 1; level -= 1) inner = `${level % 2 === 0 ? 'lastMessage' : 'room'} { ${inner} }`;
  return `query Q($room: ID!) { room(id: $room) { ${inner} } }`;
};
const aliases = (count: number, field = 'viewer { id }') =>
  Array.from({ length: count }, (_, index) => `a${index}: ${field}`).join(' ');
/** Operations of five tokens each, filled up with `__typename`. */
const tokens = (count: number) =>
  Array.from({ length: Math.floor(count / 5) }, (_, index) => {
    const rest = index === 0 ? ' __typename'.repeat(count % 5) : '';
    return `query A${index} { __typename${rest} }`;
  }).join(' ');
const introspect = (depth: number) =>
  `{ __schema { types { ${'fields { type { '.repeat(depth)} name ${'} }'.repeat(depth)} } } }`;

describeWithNats('hostile input', () => {
  const world = useWorld({ instances: 0, env: { ALLOWED_ORIGINS: friend, USER_DIRECTORY: 'on' } });
  let open: Instance;
  let production: Instance;
  let lee: TestClient;
  let room: string;
  let token: string;
  const sockets: RawSocket[] = [];
  /** The length of each instance's log that has been checked. */
  const logged = new Map<Instance, number>();

  beforeAll(async () => {
    [open, production] = await Promise.all([
      world.start(),
      world.start({ NODE_ENV: 'production', AUTH_ISSUER: issuer, AUTH_AUDIENCE: audience }),
    ]);
    const kim = await world.client(4, world.instances.indexOf(open));
    lee = await world.client(5, world.instances.indexOf(open));
    room = await kim.group(5);
    token = kim.token;
  });

  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.ws.terminate();
    for (const instance of [open, production]) {
      expect(instance.process.exitCode, instance.output()).toBeNull();
      expect((await postOperation(instance, { query: '{ __typename }' })).data).toEqual({ __typename: 'Query' });
      expect(instance.output().slice(logged.get(instance))).not.toMatch(/"level":[56]0/);
      logged.set(instance, instance.output().length);
    }
  });

  const connect = async (instance: Instance, accepted: string) => {
    const socket = await RawSocket.connect(instance, accepted);
    sockets.push(socket);
    return socket;
  };

  /** Returns the answer after checking that it reveals nothing about the server's internals. */
  async function ask(
    transport: Transport,
    operation: Operation,
    { instance = open, as = token } = {},
  ): Promise<Answer> {
    const answer =
      transport === 'HTTP'
        ? await postOperation(instance, operation, { authorization: `Bearer ${as}` })
        : await (await connect(instance, as)).ask(operation);
    expect(answer.text).not.toMatch(/\.[jt]s:\d|node_modules|stack|prisma/i);
    return answer;
  }
  const codes = ({ errors = [] }: Answer) => [...new Set(errors.map(({ extensions }) => extensions.code))];
  const send = (input: Record<string, unknown>) => ({
    query: sendMessage.toString(),
    variables: { input: { roomId: room, ...input } },
  });

  describe.each(transports)('over %s', (transport) => {
    const refused: Record<string, () => Operation> = {
      'fields nested 11 deep': () => ({ query: nest(11), variables: { room } }),
      'fields nested 11 deep through fragments': () => ({
        query: `query Q($room: ID!) { room(id: $room) { ...A } }
          fragment A on Room { lastMessage { room { lastMessage { room { lastMessage { ...B } } } } } }
          fragment B on Message { room { lastMessage { room { lastMessage { id } } } } }`,
        variables: { room },
      }),
      'a fragment that spreads itself': () => ({
        query: '{ viewer { ...A } } fragment A on User { id ...B } fragment B on User { ...A }',
      }),
      '16 aliases': () => ({ query: `{ ${aliases(16)} }` }),
      '16 aliases through fragments': () => ({
        query: `{ x: viewer { ...A ...A ...A } y: viewer { ...A ...A } } fragment A on User { p: id q: id r: name }`,
      }),
      '16 aliases of __typename': () => ({ query: `{ ${aliases(16, '__typename')} }` }),
      '16 aliases of an introspection': () => ({ query: `{ ${aliases(16, '__schema { types { name } }')} }` }),
      'a nested introspection': () => ({ query: introspect(6) }),
      '1,001 tokens': () => ({ query: tokens(1_001), operationName: 'A0' }),
      'fields to compare with each other': () => ({ query: `{ ${'__typename '.repeat(990)} }` }),
      'a document of half the largest body': () => ({ query: `{ ${'x'.repeat(120_000)} }` }),
      'a document of 30,001 characters': () => ({ query: '{ __typename }'.padEnd(30_001) }),
      'a document of 1,001 lines': () => ({ query: `{ __typename }${'\r\n'.repeat(1_000)}` }),
      'no document': () => ({ query: '' }),
      'a syntax error': () => ({ query: '{ viewer { id }' }),
      'an unknown field': () => ({ query: '{ viewr { id } }' }),
      'a variable of another type': () => ({ query: nest(2), variables: { room: { id: room } } }),
      'NUL in the content': () => send({ content: 'a\0b' }),
      'a lone high surrogate in the content': () => send({ content: 'a\ud83db' }),
      'a lone low surrogate in the content': () => send({ content: '\ude00' }),
      'empty content': () => send({ content: '' }),
      'white space alone': () => send({ content: ' \n\t\u3000\u00a0\u2028' }),
      'invisible content': () => send({ content: '\u200b\u200d\u2060\ufeff\u00ad\u3164\u2800\ufe0f' }),
      '4,001 characters': () => send({ content: 'x'.repeat(4_001) }),
      '4,001 emoji': () => send({ content: '😀'.repeat(4_001) }),
      'an IMAGE that is a script': () => send({ type: 'IMAGE', content: 'javascript:alert(1)' }),
      'a SYSTEM message': () => send({ type: 'SYSTEM', content: 'x' }),
      'the message id *': () => send({ id: '*', content: 'x' }),
      'the message id ""': () => send({ id: '', content: 'x' }),
      'the room id *': () => send({ roomId: '*', content: 'x' }),
      'the room id a.b.>': () => send({ roomId: 'a.b.>', content: 'x' }),
      'a room id with a line break': () => send({ roomId: `${room}\n`, content: 'x' }),
      'a room id in braces': () => send({ roomId: `{${room}}`, content: 'x' }),
      'NUL in a room id': () => send({ roomId: '\0', content: 'x' }),
      'a query for the room *': () => ({ query: oneRoom.toString(), variables: { id: '*' } }),
      'a subscription to *': () => ({ query: roomEvents.toString(), variables: { roomId: '*' } }),
      'a subscription to a.b.>': () => ({ query: roomEvents.toString(), variables: { roomId: 'a.b.>' } }),
      'a negative afterSeq': () => ({ query: roomEvents.toString(), variables: { roomId: room, afterSeq: -1 } }),
      'an afterSeq beyond 32 bits': () => ({
        query: roomEvents.toString(),
        variables: { roomId: room, afterSeq: 2 ** 31 },
      }),
      'NUL in a cursor': () => ({ query: '{ rooms(after: "\\u0000") { edges { cursor } } }' }),
      'a cursor of its own making': () => ({ query: '{ rooms(after: "MTox") { edges { cursor } } }' }),
      'a page of two billion': () => ({ query: '{ rooms(first: 2147483647) { edges { cursor } } }' }),
      'NUL in a search': () => ({ query: '{ searchUsers(text: "\\u0000") { id } }' }),
      'a user id that is no number': () => ({ query: '{ users(ids: ["1; DROP TABLE chat_users"]) { id } }' }),
      'a user id beyond 32 bits': () => ({ query: '{ users(ids: ["4294967296"]) { id } }' }),
      'NUL in a name': () => ({
        query: 'mutation { createRoom(input: { type: GROUP, name: "\\u0000", participantIds: ["5"] }) { created } }',
      }),
    };

    it.each(Object.entries(refused))('answers %s with BAD_USER_INPUT', async (_what, operation) => {
      expect(codes(await ask(transport, operation()))).toEqual(['BAD_USER_INPUT']);
    });

    const accepted: Record<string, () => Operation> = {
      'fields nested 10 deep': () => ({ query: nest(10), variables: { room } }),
      '15 aliases': () => ({ query: `{ ${aliases(15)} }` }),
      '15 aliases through fragments': () => ({
        query:
          '{ x: viewer { ...A ...A ...A } y: viewer { ...B ...A } } fragment A on User { p: id q: id r: name } fragment B on User { s: id }',
      }),
      'a document of 30,000 characters': () => ({ query: '{ __typename }'.padEnd(30_000) }),
      'a document of 1,000 lines': () => ({ query: `{ __typename }${'\r\n'.repeat(999)}` }),
      '1,000 tokens': () => ({ query: tokens(1_000), operationName: 'A0' }),
    };

    it.each(Object.entries(accepted))('accepts %s', async (_what, operation) => {
      expect((await ask(transport, operation())).errors).toBeUndefined();
    });

    it.each([
      ['4,000 emoji', '😀'.repeat(4_000)],
      ['ZWJ sequences, flags, skin tones', '👩‍👩‍👧‍👦🏳️‍🌈🇰🇷👍🏽'],
      ['decomposed Hangul, not composed on the way', '\u1112\u1161\u11ab 한'],
      ['marks of direction, noncharacters and controls', '\u202eabc\u202c \uffff\u0001\u007f\u0085'],
      ['markup, quotes and line breaks', `<script>alert("1")</script>' OR 1=1;--\\ \r\n\u2028`],
      ['white space at both ends', '  a\t\n'],
    ])('returns %s byte for byte', async (_what, content) => {
      const feed = lee.roomEvents({ roomId: room });
      await feed.count(1);
      const { data } = await ask(transport, send({ content }));

      expect(data).toMatchObject({ sendMessage: { message: { content } } });
      expect((await feed.count(2)).at(-1)).toMatchObject({ message: { content } });
      feed.stop();
    });

    it('takes ids in upper case as the same ids', async () => {
      const id = randomUUID();
      const first = await ask(transport, send({ id: id.toUpperCase(), roomId: room.toUpperCase(), content: 'x' }));
      const again = await ask(transport, send({ id, content: 'x' }));

      expect(first.data).toMatchObject({ sendMessage: { duplicate: false, message: { id } } });
      expect(again.data).toMatchObject({ sendMessage: { duplicate: true, message: { id } } });
    });

    it.each([
      ['a room', oneRoom.toString(), { id: randomUUID() }, { room: null }],
      ['a message', 'query M($id: ID!) { message(id: $id) { id } }', { id: randomUUID() }, { message: null }],
    ])('answers null for %s that does not exist', async (_what, query, variables, data) => {
      expect(await ask(transport, { query, variables })).toMatchObject({ data });
    });

    it.each([
      ['a query', `{ rooms(first: 100) { edges { node { messages(last: 100) { edges { node { content } } } } } } }`],
      [
        'an event',
        `subscription { roomEvents(roomId: "${randomUUID()}") {
          ... on MessageAdded { message { room { messages(last: 100) { edges { node { id content } } } } } } } }`,
      ],
    ])('refuses %s that touches too many fields', async (_what, query) => {
      const answer = await ask(transport, { query });
      expect(codes(answer)).toEqual(['BAD_USER_INPUT']);
      expect(answer.errors?.[0]?.message).toMatch(/may touch \d+ fields/);
    });

    it.each([
      '{ inboxEvents @include(if: false) { kind } }',
      '{ inboxEvents @skip(if: true) { kind } }',
      '{ ... @include(if: false) { inboxEvents { kind } } }',
      '{ ...Root @skip(if: true) }',
      '{ ...Around }',
    ])('refuses a subscription whose root field is skipped: %s', async (selection) => {
      const fragments = selection.includes('...R')
        ? 'fragment Root on Subscription { inboxEvents { kind } }'
        : selection.includes('...A')
          ? 'fragment Around on Subscription { ... on Subscription { inboxEvents @include(if: false) { kind } } }'
          : '';
      const answer = await ask(transport, { query: `subscription ${selection} ${fragments}` });
      expect(codes(answer)).toContain('BAD_USER_INPUT');
      expect(codes(answer)).not.toContain('INTERNAL');
      expect(answer.errors?.[0]?.message).toMatch(/must not be used on the root field/);
    });

    it('measures an event again if a variable that was null is left out', async () => {
      const query = `subscription ($n: Int = 100, $first: Int) { roomEvents(roomId: "${randomUUID()}") {
        ... on MessageAdded { message { room { messages(first: $first, last: $n) { edges { node { id content } } } } } } } }`;
      expect(codes(await ask(transport, { query, variables: { n: null, first: 1 } }))).toEqual(['NOT_FOUND']);
      const answer = await ask(transport, { query });
      expect(answer.errors?.[0]?.message).toMatch(/may touch \d+ fields/);
    });

    it('does not reveal the schema in production', async () => {
      const as = await forgeToken({ iss: issuer, aud: audience });
      const questions = [
        { query: '{ viewr { id } }' },
        { query: '{ room(idd: "x") { id } }' },
        { query: '{ rooms(type: GRUP) { edges { cursor } } }' },
        { query: 'query Q($x: Romm) { viewer { id } }' },
        { query: 'subscription S { roomEvents(roomId: "x") { message { id } } }' },
        { query: sendMessage.toString(), variables: { input: { roomId: room, contents: 'x' } } },
        { query: 'query R($t: RoomType) { rooms(type: $t) { edges { cursor } } }', variables: { t: 'GRUOP' } },
        { query: '{ __schema { types { name } } }' },
        { query: '{ __type(name: "User") { fields { name } } }' },
      ];
      for (const question of questions) {
        const answer = await ask(transport, question, { instance: production, as });
        expect(codes(answer), question.query).toEqual(['BAD_USER_INPUT']);
        expect(answer.text).not.toMatch(/did you mean/i);
        expect(answer.data ?? null).toBeNull();
      }
    });
  });

  describe('a bad token', () => {
    const bad: Record<string, () => string | Promise<string>> = {
      'that is no token': () => 'nonsense',
      'with alg none': () => unsigned({ alg: 'none' }),
      'with alg nOnE': () => unsigned({ alg: 'nOnE' }),
      'signed with another key': () => forgeToken({}, { secret: 'another-secret-of-32-bytes-or-more' }),
      'signed with HS512': () => forgeToken({}, { alg: 'HS512' }),
      'without exp': () => forgeToken({ exp: undefined }),
      'without iat': () => forgeToken({ iat: undefined }),
      'without sub': () => forgeToken({ sub: undefined }),
      expired: () => forgeToken({ exp: nowSeconds() - 60 }),
      'issued over 24 h ago': () => forgeToken({ iat: nowSeconds() - 86_460 }),
      'issued in the future': () => forgeToken({ iat: nowSeconds() + 60 }),
      'not valid yet': () => forgeToken({ nbf: nowSeconds() + 60 }),
      'with text for exp': () => forgeToken({ exp: 'tomorrow' }),
      'whose sub is a name': () => forgeToken({ sub: 'kim' }),
      'whose sub is 0': () => forgeToken({ sub: '0' }),
      'whose sub is negative': () => forgeToken({ sub: '-4' }),
      'whose sub has an exponent': () => forgeToken({ sub: '4e0' }),
      'whose sub is beyond 31 bits': () => forgeToken({ sub: '2147483648' }),
    };

    it.each(Object.entries(bad))('%s is refused', async (_what, make) => {
      await expectRefused(open, await make());
    });

    it.each([
      ['issuer', { iss: 'https://elsewhere.example', aud: audience }],
      ['audience', { iss: issuer, aud: 'mail' }],
    ])('for another %s is refused, and the right one is not', async (_what, claims) => {
      await expectRefused(production, await forgeToken(claims));
      await expectRefused(production, token);

      const good = await forgeToken({ iss: issuer, aud: ['mail', audience] });
      expect(await ask('HTTP', whoAmIQuery, { instance: production, as: good })).toMatchObject({ data: kimAnswer });
      expect(await ask('WebSocket', whoAmIQuery, { instance: production, as: good })).toMatchObject({
        data: kimAnswer,
      });
    });

    it('is not a token within the leeway of 30 s', async () => {
      const late = await forgeToken({ exp: nowSeconds() - 10, iat: nowSeconds() - 100 });
      const early = await forgeToken({ iat: nowSeconds() + 10 });
      for (const as of [late, early]) expect(await ask('HTTP', whoAmIQuery, { as })).toMatchObject({ data: kimAnswer });
    });

    it.each(['Basic a2ltOmtpbQ==', 'Bearer', 'bearer  ', 'Bearer a b c', 'token'])(
      'as "%s" is refused',
      async (authorization) => {
        const answer = await postOperation(open, whoAmIQuery, { authorization });
        expect([answer.status, ...codes(answer)]).toEqual([401, 'UNAUTHENTICATED']);
        const socket = openSocket(open);
        await socket.init({ authorization });
        expect(await socket.closeCode()).toBe(4403);
      },
    );

    it('is refused as well if it is missing or not a string', async () => {
      const answer = await postOperation(open, whoAmIQuery);
      expect(codes(answer)).toEqual(['UNAUTHENTICATED']);
      for (const payload of [undefined, {}, { authorization: 7 }, []]) {
        const socket = openSocket(open);
        await socket.init(payload);
        expect(await socket.closeCode()).not.toBe(1000);
      }
    });

    async function expectRefused(instance: Instance, as: string): Promise<void> {
      const answer = await postOperation(instance, whoAmIQuery, { authorization: `Bearer ${as}` });
      expect([answer.status, ...codes(answer)]).toEqual([401, 'UNAUTHENTICATED']);
      expect(answer.text).not.toMatch(/\.[jt]s:\d|jose|signature verification/i);
      const socket = openSocket(instance);
      await socket.init({ authorization: `Bearer ${as}` });
      expect(await socket.closeCode()).toBe(4403);
    }
  });

  describe('a request of an unexpected shape', () => {
    const mutation = (content: string) => ({
      query: `mutation { sendMessage(input: { roomId: "${room}", content: "${content}" }) { duplicate } }`,
    });

    it('as a form, as plain text or without a type runs nothing: 415', async () => {
      const form = new FormData();
      form.set('operations', JSON.stringify(mutation('multipart')));
      form.set('map', '{}');
      const { query } = mutation('form');
      const bodies: [NonNullable<RequestInit['body']>, Record<string, string>][] = [
        [new URLSearchParams({ query }), {}],
        [form, {}],
        [JSON.stringify(mutation('text')), { 'content-type': 'text/plain' }],
        [query, { 'content-type': 'application/graphql' }],
        [new Blob([JSON.stringify(mutation('none'))]), {}],
        [JSON.stringify(mutation('both')), { 'content-type': 'text/plain; application/json' }],
      ];
      for (const [body, headers] of bodies) {
        const answer = await postBody(open, body, { ...headers, authorization: `Bearer ${token}` });
        expect([answer.status, ...codes(answer)]).toEqual([415, 'BAD_USER_INPUT']);
      }
    });

    it('as a GET runs no mutation: 405', async () => {
      const url = `${open.url}/graphql?${new URLSearchParams(mutation('get'))}`;
      const answer = await readAnswer(await fetch(url, { headers: { authorization: `Bearer ${token}` } }));
      expect([answer.status, ...codes(answer)]).toEqual([405, 'BAD_USER_INPUT']);
    });

    it.each(['PUT', 'DELETE', 'PATCH', 'PROPFIND'])('as a %s runs nothing: 405', async (method) => {
      const url = `${open.url}/graphql?${new URLSearchParams(mutation('other'))}`;
      const response = await fetch(url, { method, headers: { authorization: `Bearer ${token}` } });
      expect(response.status).toBe(405);
    });

    it.each(['', '{ "not', '[]', 'null', '3', '"x"', '{}', '{"query":7}', '{"query":"{__typename}","variables":7}'])(
      'with the body %j is refused with 400 or, as GraphQL over HTTP has it, in the answer',
      async (body) => {
        const answer = await postBody(open, body, { 'content-type': 'application/json' });
        expect(answer.status === 400 || answer.status === 200).toBe(true);
        expect(codes(answer)).toEqual(['BAD_USER_INPUT']);
      },
    );

    it('in a batch is refused', async () => {
      const batch = JSON.stringify(Array.from({ length: 20 }, () => whoAmIQuery));
      const answer = await postBody(open, batch, { 'content-type': 'application/json' });
      expect([answer.status, ...codes(answer)]).toEqual([400, 'BAD_USER_INPUT']);
    });

    it('that breaks the WebSocket protocol closes that socket', async () => {
      const breaches: [(socket: RawSocket) => void, number][] = [
        [(socket) => socket.ws.send('not JSON'), 4400],
        [(socket) => socket.ws.send('{"type":"nonsense"}'), 4400],
        [(socket) => socket.ws.send(Buffer.from([0xff, 0xfe, 0x00])), 4400],
        [(socket) => socket.ws.send(Buffer.from([0xff, 0xfe]), { binary: false }), 1007],
        [(socket) => socket.send({ type: 'connection_init' }), 4429],
        [subscribeTwice, 4409],
        [(socket) => socket.send({ type: 'subscribe', id: 'x', payload: 7 }), 4400],
      ];
      for (const [breach, code] of breaches) {
        const socket = await connect(open, token);
        breach(socket);
        expect(await socket.closeCode()).toBe(code);
      }
      const early = openSocket(open);
      await early.opened();
      early.subscribe('early', whoAmIQuery);
      expect(await early.closeCode()).toBe(4401);
    });

    it.each([
      ['an argument', 'query Q($deep: ID!) { room(id: $deep) { id } }'],
      ['a condition', 'query Q($deep: Boolean!) { viewer { id @include(if: $deep) } }'],
      ['an argument of a subscription', 'subscription S($deep: ID!) { roomEvents(roomId: $deep) { seq } }'],
      ['a condition in a subscription', `subscription S($deep: Boolean!) { inboxEvents { roomId @skip(if: $deep) } }`],
      ['an input', 'mutation M($deep: SendMessageInput!) { sendMessage(input: $deep) { duplicate } }'],
      ['nothing', '{ viewer { id } }'],
    ])('with variables nested 40,000 deep for %s is refused', async (_what, query) => {
      for (const [start, end] of [
        ['[', ']'],
        ['{"a":', '}'],
      ] as const) {
        const deep = `${start.repeat(40_000)}1${end.repeat(40_000)}`;
        const operation = `{"query":"${query}","variables":{"deep":${deep}}}`;
        const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}` };
        expect(codes(await postBody(open, operation, headers))).toEqual(['BAD_USER_INPUT']);

        const socket = await connect(open, token);
        socket.ws.send(`{"id":"deep","type":"subscribe","payload":${operation}}`);
        const message = await socket.until(({ id }) => id === 'deep', 'the answer');
        expect(JSON.stringify(message)).toContain('BAD_USER_INPUT');
      }
    });

    it('with 80,000 values is refused under its id, and the socket stays open', async () => {
      const operation = { query: '{ viewer { id } }', variables: { junk: Array.from({ length: 80_000 }, () => ({})) } };
      const headers = { authorization: `Bearer ${token}` };
      const answer = await postOperation(open, operation, headers);
      expect(answer).toMatchObject({ status: 400, errors: [{ extensions: { code: 'BAD_USER_INPUT' } }] });

      const socket = await connect(open, token);
      expect(codes(await socket.ask(operation, 'many'))).toEqual(['BAD_USER_INPUT']);
      expect(await socket.ask({ query: '{ viewer { id } }' })).toMatchObject({ data: kimAnswer });
    });

    it('with other things nested 20,000 deep does no harm', async () => {
      const nest = (levels: number) => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`;
      const deep = nest(20_000);
      const early = openSocket(open);
      await early.opened();
      early.ws.send(`{"type":"ping","payload":${nest(40_000)}}`);
      early.ws.send(`{"type":"connection_init","payload":{"authorization":"Bearer ${token}","a":${deep}}}`);
      await early.until(({ type }) => type === 'connection_ack', 'the acknowledgement');
      early.ws.send(
        `{"id":"deep","type":"subscribe","payload":{"query":"{viewer{id}}","extensions":{"a":${deep}},"a":${deep}}}`,
      );
      expect(await early.until(({ id }) => id === 'deep', 'the answer')).toMatchObject({
        payload: { data: kimAnswer },
      });
    });

    function subscribeTwice(socket: RawSocket): void {
      const operation = { query: roomEvents.toString(), variables: { roomId: room } };
      socket.subscribe('same', operation);
      socket.subscribe('same', operation);
    }
  });

  describe('20 MB', () => {
    const size = 20_000_000;

    it('in a body are answered with 413', async () => {
      const answer = await postOperation(open, { query: 'x'.repeat(size) });
      expect([answer.status, ...codes(answer)]).toEqual([413, 'BAD_USER_INPUT']);
    });

    it('in a body of unknown length are answered with 413', async () => {
      const chunk = new Uint8Array(100_000).fill(120);
      let left = size / chunk.length;
      const body = new ReadableStream<Uint8Array>({
        pull(controller) {
          left -= 1;
          if (left < 0) controller.close();
          else controller.enqueue(chunk);
        },
      });
      const answer = await postBody(open, body, { 'content-type': 'application/json' });
      expect([answer.status, ...codes(answer)]).toEqual([413, 'BAD_USER_INPUT']);
    });

    it('in a frame close the socket with 1009', async () => {
      const socket = await connect(open, token);
      socket.subscribe('big', { query: 'x'.repeat(size) });
      expect(await socket.closeCode()).toBe(1009);
    });

    it('in a header are refused', async () => {
      const answer = await fetch(`${open.url}/graphql`, { headers: { authorization: 'x'.repeat(200_000) } }).then(
        ({ status }) => status,
        () => 'cut',
      );
      expect([431, 400, 'cut']).toContain(answer);
    });
  });

  describe('an Origin', () => {
    it('that is foreign is refused: 403, and no socket', async () => {
      for (const origin of [foreigner, 'null', `${friend}.evil.example.com`, 'http://app.example.com', open.url + 1]) {
        const answer = await postOperation(open, whoAmIQuery, { origin, authorization: `Bearer ${token}` });
        expect([answer.status, ...codes(answer)], origin).toEqual([403, 'FORBIDDEN']);
        expect(answer.headers.get('access-control-allow-origin')).toBeNull();
        expect(await upgradeStatus(open, origin), origin).toBe(403);
      }
    });

    it('that is the same or on the list is accepted', async () => {
      for (const origin of [friend, open.url]) {
        const answer = await postOperation(open, whoAmIQuery, { origin, authorization: `Bearer ${token}` });
        expect(answer).toMatchObject({ status: 200, data: kimAnswer });
        expect(answer.headers.get('access-control-allow-origin')).toBe(origin);
        expect(answer.headers.get('access-control-allow-credentials')).toBeNull();
        expect(await upgradeStatus(open, origin)).toBe('open');
      }
    });

    it.each([
      [friend, 204, friend],
      [foreigner, 403, null],
    ])('%s gets the preflight answer %i', async (origin, status, allowed) => {
      const response = await fetch(`${open.url}/graphql`, {
        method: 'OPTIONS',
        headers: {
          origin,
          'access-control-request-method': 'POST',
          'access-control-request-headers': 'authorization, content-type',
        },
      });
      expect(response.status).toBe(status);
      expect(response.headers.get('access-control-allow-origin')).toBe(allowed);
      expect(response.headers.get('access-control-allow-headers')).toBe(allowed && 'authorization, content-type');
    });

    async function upgradeStatus(instance: Instance, origin: string): Promise<number | 'open' | undefined> {
      const socket = openSocket(instance, { origin });
      await socket.opened().catch(() => undefined);
      return socket.ws.readyState === socket.ws.OPEN ? 'open' : socket.refusal;
    }
  });

  function openSocket(instance: Instance, headers: Record<string, string> = {}): RawSocket {
    const socket = new RawSocket(instance, headers);
    sockets.push(socket);
    return socket;
  }
});

const whoAmIQuery = { query: '{ viewer { id } }' };
const kimAnswer = { viewer: { id: '4' } };

function unsigned(header: Record<string, string>): string {
  const encode = (part: unknown) => Buffer.from(JSON.stringify(part)).toString('base64url');
  return `${encode(header)}.${encode({ sub: '4', iat: nowSeconds(), exp: nowSeconds() + 3_600 })}.`;
}
