import { gzipSync } from 'node:zlib';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { TestClient } from '../support/client.js';
import type { Instance } from '../support/instance.js';
import { metricsEnv, readMetrics } from '../support/metrics.js';
import { oneRoom, roomEvents } from '../support/operations.js';
import { RawHttp } from '../support/raw-http.js';
import { describeWithNats } from '../support/requirements.js';
import { waitFor } from '../support/wait-for.js';
import { postBody, postOperation, readAnswer } from '../support/wire.js';
import { useWorld } from '../support/world.js';

const graphqlJson = 'application/graphql-response+json';
const json = { 'content-type': 'application/json' };
const whoAmI = JSON.stringify({ query: '{ viewer { id } }' });
const kimAnswer = { data: { viewer: { id: '4' } } };

describeWithNats('HTTP', () => {
  const world = useWorld({ instances: 0 });
  let instance: Instance;
  let kim: TestClient;
  let room: string;
  const connections: RawHttp[] = [];

  beforeAll(async () => {
    instance = await world.start({ ...metricsEnv, MAX_SOCKETS_PER_USER: '1' });
    kim = await world.client(4);
    room = await kim.group(5);
  });
  afterEach(() => {
    for (const connection of connections.splice(0)) connection.close();
  });

  const asKim = () => ({ ...json, authorization: `Bearer ${kim.token}` });

  async function open(to = instance): Promise<RawHttp> {
    const connection = await RawHttp.connect(to);
    connections.push(connection);
    return connection;
  }

  const headOf = (start: string, body: string, ...more: readonly string[]) =>
    [
      start,
      'Host: chat.example.com',
      'Content-Type: application/json',
      `Authorization: Bearer ${kim.token}`,
      ...(body === '' ? [] : [`Content-Length: ${Buffer.byteLength(body)}`]),
      ...more,
    ].join('\r\n');

  describe('a GET with invalid parameters', () => {
    const query = encodeURIComponent('{ viewer { id } }');
    const get = async (search: string, accept: string) =>
      readAnswer(await fetch(`${instance.url}/graphql?${search}`, { headers: { ...asKim(), accept } }));

    it.each([['%7B'], ['nul'], ['%5B'], ['{"a":1}}'], ['undefined']])('is refused: %s is not JSON', async (value) => {
      for (const name of ['variables', 'extensions']) {
        for (const accept of ['application/json', graphqlJson]) {
          for (const search of [`${name}=${value}`, `query=${query}&${name}=${value}`]) {
            const { status, errors } = await get(search, accept);
            expect([search, status, errors?.[0]?.extensions.code]).toEqual([search, 400, 'BAD_USER_INPUT']);
          }
        }
      }
      expect(instance.output()).not.toContain('failed unexpectedly');
    });

    it.each([['5'], ['"text"'], ['true'], ['[1]']])('is answered like a POST: %s is not an object', async (value) => {
      for (const name of ['variables', 'extensions']) {
        for (const accept of ['application/json', graphqlJson]) {
          const body = `{"query":"{ viewer { id } }","${name}":${value}}`;
          const posted = await postBody(instance, body, { ...asKim(), accept });
          const { status, errors } = await get(`query=${query}&${name}=${value}`, accept);
          expect({ status, errors }).toEqual({ status: posted.status, errors: posted.errors });
        }
      }
      expect(instance.output()).not.toContain('failed unexpectedly');
    });

    it.each([[''], ['null'], ['%7B%7D']])('is answered if they are "%s"', async (value) => {
      const search = `query=${query}&variables=${value}&extensions=${value}`;
      expect(await get(search, graphqlJson)).toMatchObject({ status: 200, ...kimAnswer });
    });
  });

  describe('an upgrade to anything but a WebSocket', () => {
    const upgrades = [
      [
        'Connection: Upgrade, HTTP2-Settings',
        'Upgrade: h2c',
        'HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA',
      ],
      ['Connection: Upgrade', 'Upgrade: TLS/1.2'],
      ['Connection: keep-alive, upgrade', 'Upgrade: foo/2, bar'],
    ];

    it.each(upgrades)('is ignored: %s, %s', async (...offer) => {
      const connection = await open();
      const posted = `${headOf('POST /graphql HTTP/1.1', whoAmI, ...offer)}\r\n\r\n`;
      connection.write(posted + whoAmI);
      expect(JSON.parse((await connection.answer()).body)).toEqual(kimAnswer);

      // The connection stays open and offers the upgrade again; the body follows its head later, in two pieces.
      connection.write(posted);
      await waitFor(() => connection.received === '', { what: 'no answer' });
      connection.write(whoAmI.slice(0, 9));
      connection.write(whoAmI.slice(9));
      expect(JSON.parse((await connection.answer()).body)).toEqual(kimAnswer);

      connection.write(`${headOf('GET /healthz HTTP/1.1', '', ...offer)}\r\n\r\n`);
      expect(await connection.answer()).toMatchObject({ status: 200, body: '{"status":"ok"}' });
      // Two at once.
      connection.write(`${posted}${whoAmI}${headOf('GET /healthz HTTP/1.1', '', ...offer)}\r\n\r\n`);
      expect(JSON.parse((await connection.answer()).body)).toEqual(kimAnswer);
      expect(await connection.answer()).toMatchObject({ status: 200, body: '{"status":"ok"}' });
    });

    it('does not let a body grow beyond its limit, nor keep a server from stopping', async () => {
      const stopping = await world.start({ MAX_BODY_BYTES: '1000' });
      const connection = await open(stopping);
      const [offer = []] = upgrades;
      const large = JSON.stringify({ query: ' '.repeat(1_000) });
      connection.write(`${headOf('POST /graphql HTTP/1.1', large, ...offer)}\r\n\r\n${large}`);
      expect((await connection.answer()).status).toBe(413);
      connection.write(`${headOf('GET /nothing HTTP/1.1', '', ...offer)}\r\n\r\n`);
      expect((await connection.answer()).status).toBe(404);
      expect(await stopping.stop()).toBe(0);
      expect(stopping.output()).not.toMatch(/takes too long|"level":[56]0/);
    });
  });

  it('keeps an idle connection for longer than a proxy does, and closes it after the configured time', async () => {
    const ask = async (to: Instance) => {
      const connection = await open(to);
      connection.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');
      return { connection, head: (await connection.answer()).head };
    };
    expect((await ask(instance)).head).toMatch(/^keep-alive: timeout=75\r?$/im);
    const short = await ask(await world.start({ KEEP_ALIVE_MS: '1000' }));
    await waitFor(() => short.connection.isClosed, { what: 'the end of the idle connection' });
  });

  it('opens no WebSocket on a connection with an unanswered request', async () => {
    const connection = await open();
    const offer = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13'];
    const more = ['Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==', 'Sec-WebSocket-Protocol: graphql-transport-ws'];
    // The readiness check queries the database, so its answer comes a moment later.
    connection.write(`${headOf('GET /readyz HTTP/1.1', '')}\r\n\r\n`);
    connection.write(`${headOf('GET /graphql HTTP/1.1', '', ...offer, ...more)}\r\n\r\n`);

    await waitFor(() => connection.isClosed, { what: 'the connection to end' });
    expect(connection.received).not.toContain('101 Switching');
  });

  describe('a refusal', () => {
    const refusals: Record<string, { status: number; code: string; ask: (accept: string) => Promise<Response> }> = {
      'of a bad token': {
        status: 401,
        code: 'UNAUTHENTICATED',
        ask: (accept) => post(whoAmI, { accept, authorization: 'Bearer x' }),
      },
      'of an origin': {
        status: 403,
        code: 'FORBIDDEN',
        ask: (accept) => post(whoAmI, { accept, origin: 'https://evil.example' }),
      },
      'of a method': {
        status: 405,
        code: 'BAD_USER_INPUT',
        ask: (accept) => fetch(`${instance.url}/graphql`, { method: 'PUT', headers: { accept }, body: whoAmI }),
      },
      'of a size': { status: 413, code: 'BAD_USER_INPUT', ask: (accept) => post(' '.repeat(300_000), { accept }) },
      'of a type': {
        status: 415,
        code: 'BAD_USER_INPUT',
        ask: (accept) => post(whoAmI, { accept, 'content-type': 'text/plain' }),
      },
      'of a second stream': {
        status: 429,
        code: 'RATE_LIMITED',
        ask: (accept) => post(watch(), { accept: `${accept}, text/event-stream;q=0.1` }),
      },
    };
    const post = (body: string, headers: Record<string, string>) =>
      fetch(`${instance.url}/graphql`, { method: 'POST', headers: { ...asKim(), ...headers }, body });
    const watch = () => JSON.stringify({ query: roomEvents.toString(), variables: { roomId: room } });

    it.each(Object.entries(refusals))(
      '%s has the content type that the client wants',
      async (what, { status, code, ask }) => {
        const abort = new AbortController();
        if (what === 'of a second stream') {
          const headers = { ...asKim(), accept: 'text/event-stream' };
          await fetch(`${instance.url}/graphql`, { method: 'POST', headers, body: watch(), signal: abort.signal });
        }
        for (const type of [graphqlJson, 'application/json']) {
          const answer = await readAnswer(await ask(type));
          expect([answer.status, answer.headers.get('content-type')]).toEqual([status, `${type}; charset=utf-8`]);
          expect(answer.errors?.[0]?.extensions.code).toBe(code);
          expect(answer.headers.get('cache-control')).toBe('no-store');
        }
        abort.abort();
      },
    );

    it.each([
      ['a document that does not validate', { query: '{ nothing }' }, 200],
      ['a variable that does not fit', { query: oneRoom.toString(), variables: { id: { no: 'id' } } }, 200],
      ['a variable that is missing', { query: oneRoom.toString() }, 200],
      ['an operation that does not exist', { query: oneRoom.toString(), operationName: 'Other' }, 400],
    ])('of %s is 400 for clients that look at the status', async (_what, operation, jsonStatus) => {
      for (const [accept, wanted] of [
        [graphqlJson, 400],
        ['application/json', jsonStatus],
      ] as const) {
        for (let time = 0; time < 3; time += 1) {
          const answer = await postOperation(instance, operation, { ...asKim(), accept });
          expect([answer.status, answer.errors?.[0]?.extensions.code]).toEqual([wanted, 'BAD_USER_INPUT']);
          expect('data' in answer).toBe(false);
        }
      }
    });

    it('of a subscription has the status of its code', async () => {
      const operation = { query: roomEvents.toString(), variables: { roomId: '0b5e7a1c-4d0f-4c6e-9a53-5f1d0a4e0999' } };
      const accept = `${graphqlJson}, text/event-stream;q=0.1`;
      const answer = await postOperation(instance, operation, { ...asKim(), accept });
      expect([answer.status, answer.errors?.[0]?.extensions.code]).toEqual([404, 'NOT_FOUND']);
    });

    it('of one field stays an answer: 200', async () => {
      const answer = await postOperation(instance, { query: '{ viewer { id } }' }, { accept: graphqlJson });
      expect([answer.status, answer.errors?.[0]?.extensions.code]).toEqual([200, 'UNAUTHENTICATED']);
    });
  });

  describe('a persisted query', () => {
    const extensions = { persistedQuery: { version: 1, sha256Hash: 'a'.repeat(64) } };

    it('without its text is answered so that clients send the text', async () => {
      for (const accept of ['application/json', graphqlJson]) {
        const posted = await postBody(instance, JSON.stringify({ operationName: 'Q', extensions }), {
          ...asKim(),
          accept,
        });
        const parameters = new URLSearchParams({ extensions: JSON.stringify(extensions) });
        const got = await readAnswer(
          await fetch(`${instance.url}/graphql?${parameters}`, { headers: { ...asKim(), accept } }),
        );
        for (const { status, errors } of [posted, got]) {
          expect(status).toBe(200);
          expect(errors).toEqual([{ message: 'PersistedQueryNotSupported', extensions: { code: 'BAD_USER_INPUT' } }]);
        }
      }
    });

    it('with its text is run', async () => {
      const answer = await postBody(instance, JSON.stringify({ query: '{ viewer { id } }', extensions }), asKim());
      expect(answer.data).toEqual(kimAnswer.data);
    });
  });

  describe('a harmless peculiarity', () => {
    it.each(['/graphql', '/graphql/', 'http://chat.example.com/graphql', 'HTTP://chat.example.com:4000/graphql/'])(
      'of the target %s is understood',
      async (target) => {
        const connection = await open();
        connection.write(`${headOf(`POST ${target} HTTP/1.1`, whoAmI)}\r\n\r\n${whoAmI}`);
        expect(JSON.parse((await connection.answer()).body)).toEqual(kimAnswer);
        connection.write(`${headOf(`GET ${target}?query={viewer{id}} HTTP/1.1`, '')}\r\n\r\n`);
        expect(JSON.parse((await connection.answer()).body)).toEqual(kimAnswer);
      },
    );

    it('of an upgrade is understood too', async () => {
      for (const target of ['/graphql/', 'http://chat.example.com/graphql']) {
        const connection = await open();
        connection.write(
          [
            `GET ${target} HTTP/1.1`,
            'Host: chat.example.com',
            'Connection: Upgrade',
            'Upgrade: WebSocket',
            'Sec-WebSocket-Version: 13',
            'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
            'Sec-WebSocket-Protocol: graphql-transport-ws',
            '\r\n',
          ].join('\r\n'),
        );
        expect((await connection.answer()).status, target).toBe(101);
      }
    });

    it('of the host in a target decides whether an origin is the same', async () => {
      const connection = await open();
      const ask = async (origin: string) => {
        connection.write(
          `${headOf('POST http://other.example.com/graphql HTTP/1.1', whoAmI, `Origin: ${origin}`)}\r\n\r\n${whoAmI}`,
        );
        return (await connection.answer()).status;
      };
      expect(await ask('http://other.example.com')).toBe(200);
      expect(await ask('http://chat.example.com')).toBe(403);
    });

    it('of a byte order mark is ignored', async () => {
      expect((await postBody(instance, `\ufeff${whoAmI}`, asKim())).data).toEqual(kimAnswer.data);
    });

    it.each(['gzip', 'GZIP', 'x-gzip', 'identity'])('of the encoding %s is decoded', async (encoding) => {
      const body = encoding === 'identity' ? whoAmI : gzipSync(whoAmI);
      const answer = await postBody(instance, body, { ...asKim(), 'content-encoding': encoding });
      expect(answer.data).toEqual(kimAnswer.data);
    });
  });

  describe('a body in another encoding', () => {
    it.each(['br', 'deflate', 'gzip, gzip', 'x'])('is refused: %s', async (encoding) => {
      const answer = await postBody(instance, gzipSync(whoAmI), { ...asKim(), 'content-encoding': encoding });
      expect([answer.status, answer.errors?.[0]?.extensions.code]).toEqual([415, 'BAD_USER_INPUT']);
      expect(answer.headers.get('accept-encoding')).toBe('gzip');
    });

    it('is never longer than the limit once it is decoded', async () => {
      const bomb = gzipSync(JSON.stringify({ query: ' '.repeat(80_000_000) }));
      expect(bomb.length).toBeLessThan(250_000);
      const before = await memoryOf(instance);
      const answer = await postBody(instance, bomb, { ...asKim(), 'content-encoding': 'gzip' });
      expect([answer.status, answer.errors?.[0]?.extensions.code]).toEqual([413, 'BAD_USER_INPUT']);
      expect((await memoryOf(instance)) - before).toBeLessThan(40_000_000);
    });

    it.each([
      ['that names a wrong encoding', Buffer.from(whoAmI), 'gzip'],
      ['that breaks off', gzipSync(whoAmI).subarray(0, 20), 'gzip'],
      ['that is not UTF-8', Buffer.from([0x7b, 0xff, 0xfe, 0x7d]), 'identity'],
    ])('%s is refused', async (_what, body, encoding) => {
      const answer = await postBody(instance, body, { ...asKim(), 'content-encoding': encoding });
      expect([answer.status, answer.errors?.[0]?.extensions.code]).toEqual([400, 'BAD_USER_INPUT']);
    });
  });
});

/** The resident memory in bytes. */
const memoryOf = async (instance: Instance): Promise<number> =>
  (await readMetrics(instance)).get('process_resident_memory_bytes') ?? Number.NaN;
