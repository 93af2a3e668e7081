import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { onTestFinished } from 'vitest';

/** What goes to the client: an answer of the server, or a text as JSON. Undefined cuts the connection in place of an answer. */
type Reply = Response | string | undefined;

/** Lets the server execute the request, or another one. */
type Execute = (body?: string) => Promise<Response>;

/**
 * Starts a proxy that ends with the test and decides about each GraphQL request: `answer` gets its body, and a function that lets
 * the server execute it.
 * @returns the URL of the endpoint through the proxy
 */
export async function startHttpProxy(
  endpoint: string,
  answer: (body: string, execute: Execute) => Promise<Reply>,
): Promise<string> {
  const server = createServer((request, response) => {
    const reply = async () => {
      const body = await text(request);
      const { accept = '*/*', authorization = '', 'content-type': type = '' } = request.headers;
      const headers = { accept, authorization, 'content-type': type };
      const result = await answer(body, (sent = body) => fetch(endpoint, { method: 'POST', headers, body: sent }));
      if (result === undefined) return request.socket.destroy();
      const { status, headers: sent } = typeof result === 'string' ? Response.json(null) : result;
      response.writeHead(status, { 'content-type': sent.get('content-type') ?? '' });
      return response.end(typeof result === 'string' ? result : await result.text());
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

/** What becomes of a send: `pass` sends it on. */
export type Fault = (pass: Execute) => Promise<Reply>;

/** The message arrives, and its answer is lost. */
export const lost: Fault = async (pass) => {
  await pass();
  return undefined;
};

/** The request does not arrive: the server asks for a retry. */
export const refused =
  (code: string, retryAfterMs: number): Fault =>
  async () =>
    Response.json(
      { errors: [{ message: code, extensions: { code, retryAfterMs } }] },
      { status: 503, headers: { 'content-type': 'application/graphql-response+json' } },
    );

/** An answer that waits in the proxy. */
export interface HeldAnswer {
  /** Resolves once the server has answered. */
  readonly answered: Promise<void>;
  release(): void;
}

/** A proxy whose answers come late, or not as they should. */
export interface AnswerProxy {
  /** The address of `/graphql` through it. */
  readonly url: string;
  /** The ids of the messages so far, in the order in which they were sent. */
  readonly sent: readonly string[];
  /** Keeps the next answer to the operation of that name until it is released. */
  hold(operation: string): HeldAnswer;
  /** Answers the next requests for the operation of that name in this way, one after another. */
  fail(operation: string, ...faults: readonly Fault[]): void;
}

/** Starts a proxy that ends with the test; the faults are those of the first sends. */
export async function startAnswerProxy(serverUrl: string, ...faults: readonly Fault[]): Promise<AnswerProxy> {
  const sent: string[] = [];
  const failing = new Map([['SendMessage', [...faults]]]);
  const holds = new Map<string, () => Promise<void>>();
  const url = await startHttpProxy(new URL('/graphql', serverUrl).href, async (body, execute) => {
    const name = /\b(?:query|mutation) (\w+)/.exec(body)?.[1] ?? '';
    if (name === 'SendMessage')
      sent.push((JSON.parse(body) as { variables: { input: { id: string } } }).variables.input.id);
    const wait = holds.get(name);
    holds.delete(name);
    const result = await (failing.get(name)?.shift() ?? ((pass) => pass()))(execute);
    await wait?.();
    return result;
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
  return { url, sent, hold, fail: (operation, ...others) => void failing.set(operation, [...others]) };
}
