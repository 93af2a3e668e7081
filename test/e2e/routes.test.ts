import { beforeAll, expect, it } from 'vitest';
import type { Instance } from '../support/instance.js';
import { metricsEnv } from '../support/metrics.js';
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

  it.each(['/nothing', '/graphqlx', '/healthz/more', '/graphql/nothing.js', '/dev/login', '/%zz'])(
    'do not have %s',
    async (path) => {
      for (const method of ['GET', 'POST']) {
        const response = await ask(path, { method });
        expect([method, response.status]).toEqual([method, 404]);
        expect(response.headers.get('x-content-type-options')).toBe('nosniff');
        expect(codeOf(await readAnswer(response))).toBe('NOT_FOUND');
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

  it('tell a browser that opens GraphQL from a client that sends an operation', async () => {
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
});

const codeOf = ({ errors }: HttpAnswer): unknown => errors?.[0]?.extensions.code;
