import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { type Instance, startEmbeddedInstance } from '../support/instance.js';
import { RawHttp } from '../support/raw-http.js';
import { describeWithNats } from '../support/requirements.js';
import { postOperation, RawSocket } from '../support/wire.js';

const stranger = 'evil.example:4000';
const vite = 'http://localhost:5173';

describeWithNats('the embedded mode, which is open to this machine', () => {
  let instance: Instance;
  let folder: string;
  const sockets: RawSocket[] = [];

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'fairway-embedded-'));
    chmodSync(folder, 0o755);
    instance = await startEmbeddedInstance(join(folder, 'data'));
  });
  afterEach(() => {
    for (const socket of sockets.splice(0)) socket.ws.terminate();
  });
  afterAll(async () => {
    await instance?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Sends the request of a page whose host name points to this server's address. */
  async function askAs(host: string, start: string, body = '', ...headers: readonly string[]) {
    const connection = await RawHttp.connect(instance);
    const head = [`${start} HTTP/1.1`, `Host: ${host}`, `Content-Length: ${body.length}`, ...headers];
    connection.write(`${head.join('\r\n')}\r\n\r\n${body}`);
    const answer = await connection.answer();
    connection.close();
    return answer;
  }

  it('shows metrics under its own host names only', async () => {
    for (const host of [`localhost:${instance.port}`, `127.0.0.1:${instance.port}`, '[::1]:4000', '192.168.1.5:4000']) {
      expect(await askAs(host, 'GET /metrics'), host).toMatchObject({ status: 200 });
    }
    for (const host of [stranger, 'localhost.evil.example', '']) {
      const { status, body } = await askAs(host, 'GET /metrics');
      expect(status, host).toBe(403);
      expect(body).not.toContain('fairway_');
    }
  });

  it('gives no token under a foreign host name', async () => {
    const login = '{"userId":4}';
    expect(await askAs('localhost:1', 'POST /dev/login', login)).toMatchObject({ status: 200 });
    const refused = await askAs(stranger, 'POST /dev/login', login);
    expect(refused.status).toBe(403);
    const page = (host: string) => askAs(host, 'GET /graphql', '', 'Accept: text/html');
    expect((await page('localhost:1')).body).toContain('Bearer eyJ');
    expect((await page(stranger)).body).not.toContain('Bearer eyJ');
  });

  it('accepts the page of another server on this machine, over HTTP and WebSocket', async () => {
    const answer = await postOperation(instance, { query: '{ __typename }' }, { origin: vite });
    expect([answer.status, answer.headers.get('access-control-allow-origin')]).toEqual([200, vite]);
    const socket = new RawSocket(instance, { origin: vite });
    sockets.push(socket);
    await socket.opened();
    const foreign = await postOperation(instance, { query: '{ __typename }' }, { origin: 'http://evil.example:5173' });
    expect(foreign.status).toBe(403);
  });

  it('lets no page frame GraphiQL, and lets GraphiQL send requests to no other server', async () => {
    const { headers } = await fetch(`${instance.url}/graphql`, { headers: { accept: 'text/html' } });
    const policy = headers.get('content-security-policy') ?? '';
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("connect-src 'self'");
    expect(policy).not.toMatch(/script-src[^;]*unsafe/);
    expect(headers.get('x-frame-options')).toBe('DENY');
    expect(headers.get('cache-control')).toBe('no-store');
  });
});
