import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { query } from '../support/database.js';
import { type Instance, spawnInstance, startInstance } from '../support/instance.js';
import { findOwnPort } from '../support/own-port.js';
import { describeWithNats } from '../support/requirements.js';
import { startTcpProxy } from '../support/tcp-proxy.js';
import { forgeToken, nowSeconds } from '../support/tokens.js';
import { postOperation } from '../support/wire.js';
import { useWorld } from '../support/world.js';

/** Includes the time that a process takes to start and stop on a busy machine. A stop is given up after 15 s. */
const promptlyMs = 12_000;

describeWithNats('a start', () => {
  const world = useWorld({ instances: 0 });
  let silent: Server;
  let silentPort: number;
  beforeAll(async () => {
    silent = createServer((socket) => void socket.on('error', () => undefined)).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    silentPort = (silent.address() as AddressInfo).port;
  });
  afterAll(() => silent.close());

  const toSilence = () => `postgresql://fairway:secret@127.0.0.1:${silentPort}/chat`;
  const withDatabase = (databaseUrl: string) => ({ databaseUrl, nats: world.nats });
  const withEnv = (env: Record<string, string>) => ({ ...withDatabase(world.database.url), env });
  /** The output of an instance that ended with 1. */
  const refusalOf = (options: Parameters<typeof startInstance>[0]): Promise<string> =>
    startInstance(options).then(
      async (instance) => `served, and stopped with ${await instance.stop()}`,
      ({ message }: Error) => message,
    );

  it('gives up after 5 s on a PostgreSQL that accepts connections but never answers, with a sentence', async () => {
    const startedAt = performance.now();

    const refusal = await refusalOf(withDatabase(toSilence()));

    expect(performance.now() - startedAt).toBeLessThan(5_000 + promptlyMs);
    expect(refusal).toContain('ended with 1');
    expect(refusal).toContain(`PostgreSQL at 127.0.0.1:${silentPort} cannot be reached: no answer within 5 s`);
    expect(refusal).not.toMatch(/\n\s+at /);
  });

  it('ends promptly at SIGTERM while it waits for such a PostgreSQL', async () => {
    const isAsked = once(silent, 'connection');
    const { child, output } = spawnInstance(withDatabase(toSilence()));
    await isAsked;
    const exited = once(child, 'exit');
    const signalledAt = performance.now();

    child.kill('SIGTERM');

    expect(await exited, output()).toEqual([0, null]);
    // The wait itself would be over after 5 s.
    expect(performance.now() - signalledAt).toBeLessThan(4_500);
  });

  it('ends promptly and in order at SIGTERM when PostgreSQL has become silent', async () => {
    const proxy = await startTcpProxy(world.database.url);
    onTestFinished(() => proxy.stop());
    const instance = await startInstance(withDatabase(proxy.url));
    const token = await forgeToken({ sub: '4' });
    expect(await postOperation(instance, { query: '{ unreadCount }' }, bearer(token))).toMatchObject({ status: 200 });
    await proxy.cut({ silently: true });
    const asked = postOperation(instance, { query: '{ unreadCount }' }, bearer(token)).catch(() => undefined);
    const signalledAt = performance.now();

    expect(await instance.stop(), instance.output()).toBe(0);

    expect(performance.now() - signalledAt).toBeLessThan(5_000 + promptlyMs);
    expect(instance.output()).not.toContain('takes too long');
    await asked;
  });

  it('serves while NATS and the key server do not answer, and ends promptly', async () => {
    const instance = await startInstance({
      databaseUrl: world.database.url,
      nats: { ...world.nats, url: `nats://127.0.0.1:${silentPort}` },
      env: { AUTH_JWT_SECRET: '', AUTH_JWKS_URL: `http://127.0.0.1:${silentPort}/jwks.json` },
    });
    const { privateKey } = await generateKeyPair('RS256');
    const token = await new SignJWT({ sub: '4', iat: nowSeconds(), exp: nowSeconds() + 60 })
      .setProtectedHeader({ alg: 'RS256', kid: 'of-the-platform' })
      .sign(privateKey);
    const startedAt = performance.now();

    const answer = await postOperation(instance, { query: '{ unreadCount }' }, bearer(token));

    expect(answer).toMatchObject({ status: 503, errors: [{ extensions: { code: 'UNAVAILABLE' } }] });
    const answeredAt = performance.now();
    expect(answeredAt - startedAt).toBeLessThan(5_000 + promptlyMs);
    expect(await instance.stop()).toBe(0);
    expect(performance.now() - answeredAt).toBeLessThan(promptlyMs);
  });

  it('refuses parameters of DATABASE_URL instead of ignoring them', async () => {
    const refusal = await refusalOf(withDatabase(`${world.database.url}?schema=chat`));

    expect(refusal).toContain('ended with 1');
    expect(refusal).toContain('- DATABASE_URL: ?schema= must be public');
  });

  it('refuses a database that cannot hold every text', async () => {
    const name = `latin_${Date.now()}`;
    await world.database.query(`CREATE DATABASE ${name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0`);
    onTestFinished(async () => void (await world.database.query(`DROP DATABASE ${name} WITH (FORCE)`)));
    const url = new URL(world.database.url);
    url.pathname = `/${name}`;

    const refusal = await refusalOf(withDatabase(url.href));

    expect(refusal).toContain(`The database ${name} is in LATIN1, which cannot hold every text`);
    expect(refusal).not.toMatch(/\n\s+at /);
    expect(await query(url.href, `SELECT FROM pg_tables WHERE tablename LIKE 'chat%'`)).toEqual([]);
  });

  it.each([
    ['nowhere.invalid', 'HOST: the name nowhere.invalid cannot be resolved'],
    ['192.0.2.1', 'HOST: 192.0.2.1 is not an address of this machine'],
  ])('says what is wrong with HOST=%s', async (host, problem) => {
    const refusal = await refusalOf(withEnv({ HOST: host }));

    expect(refusal).toContain('ended with 1');
    expect(refusal).toContain(problem);
    expect(refusal).not.toMatch(/\n\s+at /);
  });

  it.each(['[::1]', '::1'])('serves on HOST=%s', async (host) => {
    const port = await findOwnPort();
    const instance: Instance = await startInstance(withEnv({ HOST: host, PORT: String(port) }));

    expect((await fetch(`http://[::1]:${port}/healthz`)).status).toBe(200);
    await instance.stop();
  });
});

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
