import { pino } from 'pino';
import { expect, it, onTestFinished } from 'vitest';
import type { GraphqlOverHttp } from '../../src/server/http/graphql-over-http.js';
import { HttpServer } from '../../src/server/http/http-server.js';
import type { GraphqlSockets } from '../../src/server/ws/graphql-sockets.js';
import { RawHttp } from '../support/raw-http.js';
import { waitFor } from '../support/wait-for.js';

const healthRequest = 'GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n';

/** A server with one route, without GraphQL. */
async function startServer(): Promise<{ server: HttpServer; port: number }> {
  const server = new HttpServer({
    routes: [{ methods: ['GET'], path: '/healthz', handler: (_request, response) => void response.end('ok') }],
    graphql: { isStream: () => false, cutStreams: () => undefined } as Partial<GraphqlOverHttp> as GraphqlOverHttp,
    sockets: { stop: () => Promise.resolve() } as Partial<GraphqlSockets> as GraphqlSockets,
    maskError: () => {
      throw new Error('No request fails here');
    },
    isAllowedOrigin: () => true,
    sendTimeoutMs: 15_000,
    keepAliveMs: 75_000,
    log: pino({ level: 'silent' }),
  });
  onTestFinished(() => server.stop());
  return { server, port: await server.listen(0, '127.0.0.1') };
}

it('answers requests that have arrived and are not read yet when it stops, and closes their connections', async () => {
  const { server, port } = await startServer();
  const kept = await RawHttp.connect({ port });
  kept.write(healthRequest);
  expect((await kept.answer()).head).toMatch(/connection: keep-alive/i);
  const fresh = await RawHttp.connect({ port });

  // Both are in the kernel when the server stops in the same turn of the event loop, and it has read neither.
  for (const connection of [kept, fresh]) connection.write(healthRequest);
  const stopped = server.stop();

  for (const connection of [kept, fresh]) {
    const { status, head } = await connection.answer();
    expect(status).toBe(200);
    expect(head).toMatch(/connection: close/i);
  }
  await stopped;
  await waitFor(() => kept.isClosed && fresh.isClosed, { what: 'the end of the connections' });
});

it('closes idle connections when it stops', async () => {
  const { server, port } = await startServer();
  const idle = await RawHttp.connect({ port });
  idle.write(healthRequest);
  await idle.answer();

  await server.stop();

  await waitFor(() => idle.isClosed, { what: 'the end of the connection' });
});
