import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { onTestFinished } from 'vitest';

/** What becomes of a send: `pass` sends it on. Undefined cuts the connection in place of an answer. */
export type Fault = (pass: () => Promise<Response>) => Promise<Response | undefined>;

/** The message arrives, and its answer is lost. */
export const lost: Fault = async (pass) => {
  await pass();
  return undefined;
};

/** The message does not arrive: the server asks for a retry. */
export const refused =
  (code: string, retryAfterMs: number): Fault =>
  async () =>
    new Response(JSON.stringify({ errors: [{ message: code, extensions: { code, retryAfterMs } }] }), {
      status: 503,
      headers: { 'content-type': 'application/graphql-response+json' },
    });

/** An answer that waits in the proxy. */
export interface HeldAnswer {
  /** Resolves once the server has answered. */
  readonly answered: Promise<void>;
  release(): void;
}

/** Answers to `SendMessage` over HTTP that do not come as they should. */
export interface AnswerProxy {
  /** The address of `/graphql` through it. */
  readonly url: string;
  /** The ids of the messages so far, in the order in which they were sent. */
  readonly sent: readonly string[];
  /** Keeps the next answer to the operation of that name until it is released. */
  hold(operation: string): HeldAnswer;
}

/** Starts a proxy that ends with the test; the faults are those of the first sends. */
export async function startAnswerProxy(serverUrl: string, ...faults: readonly Fault[]): Promise<AnswerProxy> {
  const sent: string[] = [];
  const holds = new Map<string, () => Promise<void>>();
  const holdAnswer = (body: string): Promise<void> | undefined => {
    const name = /\b(?:query|mutation) (\w+)/.exec(body)?.[1] ?? '';
    const wait = holds.get(name);
    holds.delete(name);
    return wait?.();
  };
  const server = createServer((request, response) => {
    const answer = async () => {
      const body = await text(request);
      const { accept = '', authorization = '' } = request.headers;
      const headers = { accept, authorization, 'content-type': 'application/json' };
      const pass = () => fetch(new URL('/graphql', serverUrl), { method: 'POST', headers, body });
      const isSend = body.includes('mutation SendMessage');
      const fault = isSend ? faults[sent.length] : undefined;
      if (isSend) sent.push((JSON.parse(body) as { variables: { input: { id: string } } }).variables.input.id);
      const result = await (fault === undefined ? pass() : fault(pass));
      await holdAnswer(body);
      if (result === undefined) return request.socket.destroy();
      response.writeHead(result.status, { 'content-type': result.headers.get('content-type') ?? '' });
      return response.end(await result.text());
    };
    answer().catch(() => request.socket.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const hold = (operation: string): HeldAnswer => {
    let release = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    const answered = new Promise<void>((resolve) => {
      holds.set(operation, () => {
        resolve();
        return released;
      });
    });
    return { answered, release: () => release() };
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/graphql`, sent, hold };
}
