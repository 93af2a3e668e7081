import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { onTestFinished } from 'vitest';

/**
 * Starts a proxy that decides about each GraphQL request: `answer` gets its body, and a function that lets the server execute
 * this or another one and returns the answer. What it returns goes to the client; for undefined, the connection breaks.
 * @returns the URL of the endpoint through the proxy
 */
export async function startHttpProxy(
  endpoint: string,
  answer: (body: string, execute: (body?: string) => Promise<string>) => Promise<string | undefined>,
): Promise<string> {
  const server = createServer((request, response) => {
    const reply = async () => {
      const body = await text(request);
      const { authorization = '', 'content-type': type = '' } = request.headers;
      const headers = { authorization, 'content-type': type };
      const execute = async (sent = body) => (await fetch(endpoint, { method: 'POST', headers, body: sent })).text();
      const content = await answer(body, execute);
      if (content === undefined) request.socket.destroy();
      else response.setHeader('content-type', 'application/json').end(content);
    };
    reply().catch(() => request.socket.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/graphql`;
}
