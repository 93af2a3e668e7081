import { request } from 'node:http';
import { gunzipSync } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Instance } from '../support/instance.js';
import { metricsEnv } from '../support/metrics.js';
import { RawHttp } from '../support/raw-http.js';
import { describeWithNats } from '../support/requirements.js';
import { type HttpAnswer, readAnswer } from '../support/wire.js';
import { useWorld } from '../support/world.js';

describeWithNats('the routes', () => {
  const world = useWorld({ instances: 0 });
  let instance: Instance;

  beforeAll(async () => {
    instance = await world.start({ ...metricsEnv, GRAPHIQL: 'on' });
  });

  const ask = (path: string, init: RequestInit = {}) =>
    fetch(`${instance.url}${path}`, { redirect: 'manual', ...init });

  it.each([
    ['/graphql', 'PUT', 'GET, POST'],
    ['/graphql/', 'HEAD', 'GET, POST'],
    ['/healthz', 'POST', 'GET, HEAD'],
    ['/readyz', 'DELETE', 'GET, HEAD'],
    ['/metrics', 'PATCH', 'GET, HEAD'],
    ['/', 'PURGE', 'GET, HEAD'],
    ['/graphql/graphiql.js', 'POST', 'GET, HEAD'],
  ])('of %s refuse %s, and name %s', async (path, method, allow) => {
    const response = await ask(path, { method });
    expect([response.status, response.headers.get('allow')]).toEqual([405, allow]);
    expect(response.headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(response.headers.get('x-request-id')).not.toBeNull();
    if (method !== 'HEAD') expect(codeOf(await readAnswer(response))).toBe('BAD_USER_INPUT');
  });

  it.each(['/nothing', '/graphqlx', '/healthz/more', '/graphql/nothing.js', '/dev/login', '/%zz', '/graphql/%zz'])(
    'do not have %s',
    async (path) => {
      for (const method of ['GET', 'POST']) {
        const response = await ask(path, { method });
        // A path below /graphql/ may belong to a file, and files are read-only.
        const status = path.startsWith('/graphql/') && method === 'POST' && !path.includes('%zz') ? 405 : 404;
        expect([method, response.status]).toEqual([method, status]);
        expect(response.headers.get('x-content-type-options')).toBe('nosniff');
        expect(codeOf(await readAnswer(response))).toBe(status === 404 ? 'NOT_FOUND' : 'BAD_USER_INPUT');
      }
    },
  );

  it('answer HEAD as they answer GET, without the body', async () => {
    for (const path of ['/', '/healthz', '/graphql/graphiql.css']) {
      const [got, head] = [await ask(path), await ask(path, { method: 'HEAD' })];
      expect([path, head.status]).toEqual([path, got.status]);
      for (const name of ['content-type', 'content-length', 'etag', 'location', 'cache-control']) {
        expect([path, name, head.headers.get(name)]).toEqual([path, name, got.headers.get(name)]);
      }
      expect(await head.text()).toBe('');
      await got.text();
    }
  });

  it('distinguish a browser that opens GraphQL from a client that sends an operation', async () => {
    const query = `/graphql?query=${encodeURIComponent('{ __typename }')}`;
    const page = await ask(query, { headers: { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' } });
    expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(await page.text()).toContain('<script src="graphql/graphiql.js">');
    for (const accept of ['application/json', '*/*']) {
      expect(await readAnswer(await ask(query, { headers: { accept } }))).toMatchObject({
        data: { __typename: 'Query' },
      });
    }
  });

  describe("of GraphiQL's files", () => {
    const script = '/graphql/graphiql.js';

    it('send them compressed to clients that take that, and only then', async () => {
      const whole = await read('identity');
      const small = await read('gzip, deflate, br');
      expect(whole.headers['content-encoding']).toBeUndefined();
      expect(small.headers['content-encoding']).toBe('gzip');
      for (const { headers } of [whole, small]) {
        expect(headers['content-type']).toBe('application/javascript; charset=utf-8');
        expect(headers.vary).toBe('accept-encoding');
        expect(headers['cache-control']).toBe('no-cache');
      }
      expect(small.body.length).toBeLessThan(whole.body.length / 3);
      expect(gunzipSync(small.body).equals(whole.body)).toBe(true);
    });

    it('answer 304 if the client has them already', async () => {
      const etag = (await read('gzip')).headers.etag as string;
      const connection = await RawHttp.connect(instance);
      // Raw HTTP, because fetch bypasses caches for a conditional request.
      const head = [`GET ${script} HTTP/1.1`, `Host: ${new URL(instance.url).host}`, `Origin: ${instance.url}`];
      connection.write([...head, 'Accept-Encoding: gzip', `If-None-Match: "other", ${etag}`, '', ''].join('\r\n'));
      const answer = await connection.answer();
      connection.close();
      expect([answer.status, answer.body]).toEqual([304, '']);
      for (const line of [`etag: ${etag}`, 'cache-control: no-cache', 'vary: origin', 'vary: accept-encoding']) {
        expect(answer.head.toLowerCase().split('\r\n')).toContain(line.toLowerCase());
      }
    });

    it.each(['..%2fmain.js', '%2e%2e/main.js', '..%5cmain.js', '%00', '.fingerprint'])(
      'send nothing else: %s',
      async (path) => {
        const connection = await RawHttp.connect(instance);
        connection.write(`GET /graphql/${path} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: br, gzip\r\n\r\n`);
        const { status, body } = await connection.answer();
        connection.close();
        expect(status).toBe(404);
        expect(body).not.toContain('import');
      },
    );

    const read = (encoding: string) =>
      new Promise<{ headers: Record<string, unknown>; body: Buffer }>((resolve, reject) => {
        const sent = request(`${instance.url}${script}`, { headers: { 'accept-encoding': encoding } }, (answer) => {
          const chunks: Buffer[] = [];
          answer.on('data', (chunk: Buffer) => chunks.push(chunk));
          answer.on('end', () => resolve({ headers: answer.headers, body: Buffer.concat(chunks) }));
        });
        sent.once('error', reject).end();
      });
  });
});

const codeOf = ({ errors }: HttpAnswer): unknown => errors?.[0]?.extensions.code;
