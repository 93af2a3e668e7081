import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect as connectTcp } from 'node:net';
import { exportJWK, exportSPKI, generateKeyPair, SignJWT } from 'jose';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { type ApiError, TestClient } from '../support/client.js';
import { type Instance, startInstance, testSecret } from '../support/instance.js';
import { apolloAccept, MultipartStream } from '../support/multipart.js';
import {
  createRoom,
  deleteMessage,
  editMessage,
  history,
  inviteMembers,
  markRead,
  presence,
  roomEvents,
  searchUsers,
  sendMessage,
} from '../support/operations.js';
import { describeWithNats } from '../support/requirements.js';
import { forgeToken, nowSeconds } from '../support/tokens.js';
import { waitFor } from '../support/wait-for.js';
import { postBody, postOperation, RawSocket } from '../support/wire.js';
import { useWorld } from '../support/world.js';

const whoAmI = { query: '{ viewer { id } }' };

describeWithNats('a session', () => {
  const world = useWorld({ instances: 0 });
  let instance: Instance;
  let room: string;
  let query: pg.Client;
  const sockets: RawSocket[] = [];

  beforeAll(async () => {
    instance = await world.start({ SENDS_PER_MINUTE: '120', MAX_SOCKETS_PER_USER: '10', LOG_LEVEL: 'trace' });
    room = await (await world.client(4)).group(5, 6);
    query = new pg.Client({ connectionString: world.database.url });
    await query.connect();
  });
  afterEach(() => {
    for (const socket of sockets.splice(0)) socket.ws.terminate();
  });
  afterAll(() => query.end());

  const connect = async (token: string, to = instance) => {
    const socket = await RawSocket.connect(to, token);
    sockets.push(socket);
    return socket;
  };
  const watch = () => ({ query: roomEvents.toString(), variables: { roomId: room } });
  const openStream = (token: string, accept = 'text/event-stream') =>
    fetch(`${instance.url}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept,
        authorization: `Bearer ${token}`,
      },
      body: JSON.stringify(watch()),
    });

  it('ends with the expiry of its token: a socket with 4403, streams too', async () => {
    const exp = nowSeconds() + 6;
    const token = await forgeToken({ exp });
    const socket = await connect(token);
    socket.subscribe('s', watch());
    const streams = await Promise.all([openStream(token), openStream(token, apolloAccept)]);
    const streamEnds = streams.map((stream) => stream.text().catch(() => 'cut'));

    expect(await socket.closeCode()).toBe(4403);
    const socketMs = Date.now() - exp * 1_000;
    // The streams are cut, not completed, so that their clients reconnect with another token.
    expect(await Promise.all(streamEnds)).toEqual(['cut', 'cut']);
    const streamMs = Date.now() - exp * 1_000;

    for (const late of [socketMs, streamMs]) {
      expect(late).toBeGreaterThan(-50);
      // Requests have 30 s more.
      expect(late).toBeLessThan(15_000);
    }
  });

  it('belongs to the user of connection_init or, without a token there, of the upgrade header', async () => {
    const [kim, lee] = [`Bearer ${await forgeToken()}`, `Bearer ${await forgeToken({ sub: '5' })}`];
    const open = async (header: string, payload?: unknown) => {
      const socket = new RawSocket(instance, { authorization: header });
      sockets.push(socket);
      await socket.init(payload);
      return socket;
    };
    for (const [header, payload, userId] of [
      [kim, undefined, '4'],
      [kim, {}, '4'],
      [kim, { client: 'ios' }, '4'],
      [kim, { Authorization: lee }, '5'],
      ['Bearer nonsense', { authorization: lee }, '5'],
    ] as const) {
      const socket = await open(header, payload);
      await socket.until(({ type }) => type === 'connection_ack', 'the acknowledgement');
      expect((await socket.ask(whoAmI)).data).toEqual({ viewer: { id: userId } });
    }
    const refused = await open('Bearer nonsense');
    expect(await refused.closeCode()).toBe(4403);
    expect(refused.closed?.reason).toBe('Authorization must be: Bearer, then a JWT');
  });

  it('is refused with what is missing or wrong as the reason', async () => {
    for (const [payload, reason] of [
      [undefined, /No token: .*connection_init.*authorization.*Bearer/],
      [{ token: 'x' }, /No token/],
      [{ authorization: 'Basic x' }, /Bearer, then a JWT/],
      [{ authorization: `Bearer ${await forgeToken({ exp: nowSeconds() - 60 })}` }, /expired/],
    ] as const) {
      const socket = new RawSocket(instance);
      sockets.push(socket);
      await socket.init(payload);
      expect(await socket.closeCode()).toBe(4403);
      expect(socket.closed?.reason).toMatch(reason);
    }
  });

  it('has 50 subscriptions on a socket; one more is refused, and one that ends makes room', async () => {
    const socket = await connect(await forgeToken());
    for (let number = 1; number <= 50; number += 1) socket.subscribe(`s${number}`, watch());
    const ready = () => socket.messages.filter(({ type }) => type === 'next').length;
    await waitFor(() => ready() === 50, { what: '50 subscriptions' });

    const refused = await socket.ask(watch(), 's51');
    expect(refused.errors?.[0]?.extensions).toMatchObject({ code: 'RATE_LIMITED', retryAfterMs: expect.any(Number) });

    expect(await socket.ask(whoAmI)).toMatchObject({ data: { viewer: { id: '4' } } });
    for (let number = 1; number <= 50; number += 1) {
      socket.send({ id: `s${number}`, type: 'complete' });
      socket.subscribe(`again${number}`, watch());
    }
    await waitFor(() => ready() === 101, { what: 'an answer and 50 subscriptions more' });
  });

  it('has one subscription per id, even if earlier ones with that id have not ended yet', async () => {
    const socket = await connect(await forgeToken());
    const told = (event: string) => socket.messages.filter((message) => JSON.stringify(message).includes(event)).length;
    for (let times = 0; times < 20; times += 1) {
      socket.subscribe('same', watch());
      socket.send({ id: 'same', type: 'complete' });
    }
    socket.subscribe('same', watch());
    const whoAnswers = socket.ask(whoAmI, 'behind it');
    await waitFor(() => told('RoomReady') > 0, { what: 'the subscription that is not completed' });
    expect(await whoAnswers).toMatchObject({ data: { viewer: { id: '4' } } });
    expect(socket.messages.filter(({ type }) => type === 'error')).toEqual([]);

    const kim = await world.client(4);
    await kim.send(room, 'once');
    await waitFor(() => told('MessageAdded') > 0, { what: 'the message' });
    await kim.send(room, 'behind');
    await waitFor(() => told('"behind"') > 0, { what: 'the message behind' });
    expect([told('"once"'), told('RoomReady')]).toEqual([1, 1]);
  });

  it('shares 10 places with the other sockets and streams of its user', async () => {
    const token = await forgeToken({ sub: '6' });
    const places = await Promise.all(Array.from({ length: 8 }, () => connect(token)));
    const inParts = await MultipartStream.open(instance.url, token, watch());
    const abort = new AbortController();
    const stream = await fetchStream(token, abort.signal);
    expect(stream.status).toBe(200);

    const eleventh = new RawSocket(instance);
    await eleventh.init({ authorization: `Bearer ${token}` });
    expect(await eleventh.closeCode()).toBe(4429);
    for (const refused of [await openStream(token), await openStream(token, apolloAccept)]) {
      expect(refused.status).toBe(429);
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
      expect(await refused.json()).toMatchObject({ errors: [{ extensions: { code: 'RATE_LIMITED' } }] });
    }
    await connect(await forgeToken({ sub: '5' }));

    abort.abort();
    await waitFor(() => connect(token), { what: 'the place of the stream' });
    inParts.stop();
    await waitFor(() => connect(token), { what: 'the place of the stream in parts' });
    places[0]?.ws.terminate();
    await waitFor(() => connect(token), { what: 'the place of a socket' });
  });

  const fetchStream = (token: string, signal: AbortSignal) =>
    fetch(
      `${instance.url}/graphql?${new URLSearchParams({ ...watch(), variables: JSON.stringify(watch().variables) })}`,
      {
        headers: { accept: 'text/event-stream', authorization: `Bearer ${token}` },
        signal,
      },
    );

  it('sends 120 messages a minute over all transports together', async () => {
    const lee = await world.client(5);
    for (let sent = 0; sent < 60; sent += 1) await Promise.all([lee.send(room, 'x'), lee.sendOverWs(room, 'x')]);

    for (const send of [() => lee.send(room, 'x'), () => lee.sendOverWs(room, 'x')]) {
      const error = (await send().catch((refusal: unknown) => refusal)) as ApiError;
      expect(error.code).toBe('RATE_LIMITED');
      expect(error.extensions.retryAfterMs).toBeGreaterThan(0);
      expect(error.extensions.retryAfterMs).toBeLessThanOrEqual(60_000);
    }
    await (await world.client(6)).send(room, 'others may');
  });

  it('makes 300 other changes and 120 searches a minute, or as many as are configured', async () => {
    const strict = await world.start({ CHANGES_PER_MINUTE: '3', SEARCHES_PER_MINUTE: '2', USER_DIRECTORY: 'on' });
    const kim = await TestClient.create(strict, 4);
    const { message } = await kim.send(room, 'first');
    for (const content of ['second', 'third'])
      await kim.http(editMessage, { input: { messageId: message.id, content } });
    await kim.http(markRead, { input: { roomId: room, messageId: message.id } });

    const error = await kim
      .http(deleteMessage, { input: { messageId: message.id } })
      .catch((refusal: unknown) => refusal);

    expect(error).toMatchObject({ code: 'RATE_LIMITED' });
    await kim.send(room, 'sends are counted apart');
    for (let times = 0; times < 2; times += 1) await kim.http(searchUsers, { text: 'x' });
    await expect(kim.http(searchUsers, { text: 'x' })).rejects.toMatchObject({ code: 'RATE_LIMITED' });
    await kim.close();
  });

  it('counts every 50 users of a presence subscription as one subscription more', async () => {
    const strict = await world.start({ SUBSCRIPTIONS_PER_MINUTE: '9' });
    const socket = await RawSocket.connect(strict, await forgeToken());
    onTestFinished(() => socket.ws.terminate());
    const watchUsers = (count: number) => ({
      query: presence.toString(),
      variables: { userIds: Array.from({ length: count }, (_, index) => `${1_000 + index}`) },
    });
    for (const [id, count] of Object.entries({ small: 49, large: 300, last: 1 })) {
      socket.subscribe(id, watchUsers(count));
      expect(await socket.ask(whoAmI, `behind ${id}`)).toMatchObject({ data: { viewer: { id: '4' } } });
    }
    const refused = await socket.ask(watchUsers(1), 'refused');
    expect(refused.errors?.[0]?.extensions).toMatchObject({ code: 'RATE_LIMITED' });
    expect(socket.messages.filter(({ id }) => ['small', 'large', 'last'].includes(id ?? ''))).toEqual([]);
  });

  it('counts each 50 users who are added to a room as one more change', async () => {
    const strict = await world.start({ CHANGES_PER_MINUTE: '12' });
    const users = (count: number) => Array.from({ length: count }, (_, n) => String(n + 100));
    const create = (client: TestClient, count: number) =>
      client.http(createRoom, { input: { type: 'GROUP', participantIds: users(count) } });
    const [kim, lee] = [await TestClient.create(strict, 4), await TestClient.create(strict, 5)];

    await create(kim, 499);
    await create(kim, 1);
    await expect(create(kim, 1)).rejects.toMatchObject({ code: 'RATE_LIMITED' });

    const roomId = (await create(lee, 1)).createRoom.room.id;
    await lee.http(inviteMembers, { input: { roomId, userIds: users(450) } });
    await create(lee, 1);
    await expect(create(lee, 1)).rejects.toMatchObject({ code: 'RATE_LIMITED' });
    await Promise.all([kim.close(), lee.close()]);
  });

  it('can fill a room in one change even if the rate is lower than its cost', async () => {
    const strict = await world.start({ CHANGES_PER_MINUTE: '3' });
    const kim = await TestClient.create(strict, 4);
    const participantIds = Array.from({ length: 499 }, (_, n) => String(n + 100));

    const { created } = (await kim.http(createRoom, { input: { type: 'GROUP', participantIds } })).createRoom;

    expect(created).toBe(true);
    await expect(kim.group(5)).rejects.toMatchObject({ code: 'RATE_LIMITED' });
    await kim.close();
  });

  it('does not wait at SIGTERM for peers that were refused and keep their side open', async () => {
    const stopping = await world.start();
    const peers = await Promise.all(
      ['/nope', '/graphql'].map(async (path) => {
        const peer = connectTcp({ port: stopping.port, host: '127.0.0.1', allowHalfOpen: true });
        peer.on('error', () => undefined);
        peer.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nOrigin: https://evil.example\r\nConnection: Upgrade\r\n`);
        peer.write(
          'Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
        );
        await once(peer, 'data');
        return peer;
      }),
    );

    expect(await stopping.stop()).toBe(0);
    expect(stopping.output()).not.toContain('takes too long');
    for (const peer of peers) peer.destroy();
  });

  it('ends at SIGTERM after running requests are done: 1012, and exit code 0', async () => {
    const stopping = await world.start();
    const client = await TestClient.create(stopping, 4);
    const idle = await connect(await forgeToken({ sub: '6' }), stopping);
    idle.subscribe('s', watch());
    const busy = await connect(await forgeToken({ sub: '6' }), stopping);
    await idle.until(({ type }) => type === 'next', 'the subscription');

    await query.query('BEGIN');
    await query.query('SELECT FROM chat_rooms WHERE id = $1::uuid FOR UPDATE', [room]);
    const overHttp = client.send(room, 'under way over HTTP');
    const overWs = busy.ask({
      query: sendMessage.toString(),
      variables: { input: { roomId: room, content: 'under way over WebSocket' } },
    });
    await waitFor(async () => (await countWaiting(query)) > 0, { what: 'the sends to wait for the room' });
    await postOperation(stopping, whoAmI);

    const exitCode = stopping.stop();
    await waitFor(async () => (await readiness(stopping)) !== 200, { what: 'readiness to end' });
    expect([503, 'refused']).toContain(await readiness(stopping));
    expect((await idle.ask(whoAmI)).errors?.[0]?.extensions.code).toBe('UNAVAILABLE');
    await query.query('COMMIT');

    expect((await overHttp).message.content).toBe('under way over HTTP');
    expect(await overWs).toMatchObject({ data: { sendMessage: { duplicate: false } } });
    expect([await idle.closeCode(), await busy.closeCode()]).toEqual([1012, 1012]);
    expect(await exitCode).toBe(0);
    await client.close();
  });

  it('starts with a token only: /dev/login does not exist outside the embedded mode', async () => {
    for (const path of ['/dev/login', '/dev/login/', '//dev/login', '/dev/../dev/login']) {
      const response = await fetch(instance.url + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{"userId":4}',
      });
      expect(response.status, path).toBe(404);
    }
  });

  it('receives a fault as a correlation id that is in the log, and nothing else', async () => {
    const kim = await world.client(4);
    const secret = '아무도 몰라야 하는 말';
    const failures: ApiError[] = [];
    const fail = async (answer: Promise<unknown>) => failures.push((await answer.catch((e: unknown) => e)) as ApiError);

    await query.query(`ALTER TABLE chat_messages ADD CONSTRAINT broken CHECK (content <> '${secret}')`);
    await fail(kim.send(room, secret));
    await fail(kim.sendOverWs(room, secret));
    await query.query('ALTER TABLE chat_messages DROP CONSTRAINT broken');
    await query.query('ALTER TABLE chat_messages RENAME TO away');
    await fail(kim.send(room, secret));
    await fail(kim.ws(history, { id: room, first: 1 }));
    await query.query('ALTER TABLE away RENAME TO chat_messages');
    await kim.send(room, secret);
    await kim.sendOverWs(room, secret);
    await postBody(instance, `{"query": "${secret}`, { 'content-type': 'application/json' });

    for (const { code, message, extensions } of failures) {
      expect(code).toBe('INTERNAL');
      expect(message).toBe('INTERNAL: Something went wrong on our side');
      expect(Object.keys(extensions).sort()).toEqual(['code', 'correlationId']);
      const log = await waitFor(() => findLog(String(extensions.correlationId)), { what: 'the fault in the log' });
      expect(log).toMatchObject({ level: 50, err: { stack: expect.any(String) } });
    }
    expect(instance.output()).not.toContain(secret);
    expect(instance.output()).not.toContain(kim.token);
    expect(instance.output()).not.toMatch(/eyJ[\w-]+\.eyJ/);
  });

  const findLog = (id: string) => {
    const line = instance
      .output()
      .split('\n')
      .find((text) => text.includes(id));
    return line === undefined ? undefined : (JSON.parse(line) as Record<string, unknown>);
  };

  describe('with keys from a key server', () => {
    let keyServer: Server;
    let keyUrl: string;
    let answer: { status: number; body: string };
    let rs: CryptoKeyPair;
    let es: CryptoKeyPair;
    const claims = () => ({ sub: '4', iat: nowSeconds(), exp: nowSeconds() + 60 });
    const sign = (alg: string, key: CryptoKey | Uint8Array, kid: string) =>
      new SignJWT(claims()).setProtectedHeader({ alg, kid }).sign(key);

    beforeAll(async () => {
      rs = (await generateKeyPair('RS256', { extractable: true })) as CryptoKeyPair;
      es = (await generateKeyPair('ES256', { extractable: true })) as CryptoKeyPair;
      const keys = [
        { ...(await exportJWK(rs.publicKey)), kid: 'rs', alg: 'RS256', use: 'sig' },
        { ...(await exportJWK(es.publicKey)), kid: 'es', alg: 'ES256', use: 'sig' },
      ];
      answer = { status: 200, body: JSON.stringify({ keys }) };
      keyServer = createServer((_request, response) => {
        response.writeHead(answer.status, { 'content-type': 'application/json' }).end(answer.body);
      });
      await new Promise<void>((resolve) => keyServer.listen(0, '127.0.0.1', resolve));
      keyUrl = `http://127.0.0.1:${(keyServer.address() as AddressInfo).port}/keys`;
    });
    afterAll(() => {
      keyServer.closeAllConnections();
      keyServer.close();
    });

    const start = (url: string) => world.start({ AUTH_JWT_SECRET: '', AUTH_JWKS_URL: url });
    const ask = async (to: Instance, token: string) => {
      const { status, data, errors } = await postOperation(to, whoAmI, { authorization: `Bearer ${token}` });
      return [status, errors?.[0]?.extensions.code ?? data];
    };

    it('accepts RS256 and ES256, and no other signature', async () => {
      const keyed = await start(keyUrl);
      const kim = [200, { viewer: { id: '4' } }];
      expect(await ask(keyed, await sign('RS256', rs.privateKey, 'rs'))).toEqual(kim);
      expect(await ask(keyed, await sign('ES256', es.privateKey, 'es'))).toEqual(kim);
      await connect(await sign('ES256', es.privateKey, 'es'), keyed);

      const publicKey = new TextEncoder().encode(await exportSPKI(rs.publicKey));
      const stranger = (await generateKeyPair('RS256')) as CryptoKeyPair;
      const refused = [
        await sign('HS256', publicKey, 'rs'),
        await sign('HS256', new TextEncoder().encode(testSecret), 'rs'),
        await sign('RS256', stranger.privateKey, 'rs'),
        await sign('ES256', es.privateKey, 'rs'),
      ];
      for (const token of refused) expect(await ask(keyed, token)).toEqual([401, 'UNAUTHENTICATED']);
      // The keys were fetched a moment ago and are not fetched again yet; the unknown key may be a new one.
      expect(await ask(keyed, await sign('RS256', rs.privateKey, 'unknown'))).toEqual([503, 'UNAVAILABLE']);
    });

    it('asks for a retry while the keys are unavailable', async () => {
      const token = await sign('RS256', rs.privateKey, 'rs');
      const good = answer;
      const keyed = await start(keyUrl);
      for (const bad of [
        { status: 500, body: '' },
        { status: 200, body: 'not JSON' },
        { status: 200, body: '{"keys":7}' },
      ]) {
        answer = bad;
        expect(await ask(keyed, token), bad.body).toEqual([503, 'UNAVAILABLE']);
      }
      answer = good;
      expect(await ask(keyed, token)).toEqual([200, { viewer: { id: '4' } }]);

      const unreachable = await start('http://127.0.0.1:9/keys');
      expect(await ask(unreachable, token)).toEqual([503, 'UNAVAILABLE']);
      const socket = new RawSocket(unreachable);
      await socket.init({ authorization: `Bearer ${token}` });
      expect(await socket.closeCode()).toBe(1013);
    });
  });

  it.each([
    ['no secret', { AUTH_JWT_SECRET: '' }, ['AUTH_JWT_SECRET or AUTH_JWKS_URL']],
    ['a short secret', { AUTH_JWT_SECRET: 'short' }, ['AUTH_JWT_SECRET: must have at least 32 bytes, has 5']],
    [
      'many mistakes',
      {
        AUTH_JWT_SECRET: 'short',
        AUTH_ALGORITHMS: 'none',
        PORT: 'http',
        ALLOWED_ORIGINS: 'https://app.example.com/path',
        NATS_PASSWORD: '',
        LOG_LEVEL: 'loud',
      },
      ['AUTH_JWT_SECRET', 'AUTH_ALGORITHMS', 'PORT', 'ALLOWED_ORIGINS', 'NATS_PASSWORD', 'LOG_LEVEL'],
    ],
  ])('is not served with %s: the start lists every mistake', async (_what, env, problems) => {
    const failure = await startInstance({ databaseUrl: world.database.url, nats: world.nats, env }).then(
      () => 'started',
      (error: Error) => error.message,
    );
    expect(failure).toContain('ended with 1');
    for (const problem of problems) expect(failure).toMatch(new RegExp(`^ +- .*${problem}`, 'm'));
  });
});

/** The number of sends that wait for a lock. */
async function countWaiting(query: pg.Client): Promise<number> {
  const { rows } = await query.query<{ count: number }>(
    `SELECT count(*)::int FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`,
  );
  return rows[0]?.count ?? 0;
}

const readiness = ({ url }: Instance): Promise<number | 'refused'> =>
  fetch(`${url}/readyz`).then(
    ({ status }) => status,
    () => 'refused',
  );
