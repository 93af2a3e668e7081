import type { IncomingMessage, ServerResponse } from 'node:http';
import { ChatError } from '../domain/errors.js';
import type { Viewer } from '../domain/viewer.js';
import { refuse } from './answers.js';
import { discardStream, readBody, sendStream } from './body.js';
import type { Authenticate } from './context.js';
import type { GraphqlEngine } from './graphql.js';
import type { Seats } from './seats.js';

export interface GraphqlOverHttpOptions {
  readonly engine: GraphqlEngine;
  readonly authenticate: Authenticate;
  readonly seats: Seats;
  readonly maxBodyBytes: number;
  readonly sendTimeoutMs: number;
}

/** Operations over HTTP, and subscriptions over SSE. */
export class GraphqlOverHttp {
  readonly #options: GraphqlOverHttpOptions;
  readonly #streams = new Set<ServerResponse>();

  constructor(options: GraphqlOverHttpOptions) {
    this.#options = options;
  }

  /** Open SSE streams. */
  get streamCount(): number {
    return this.#streams.size;
  }

  isStream(response: ServerResponse): boolean {
    return this.#streams.has(response);
  }

  /** Cuts all streams. Not completed: a completed stream would tell its client that there is no more to come. */
  cutStreams(): void {
    for (const stream of this.#streams) stream.destroy();
  }

  /** Resolves once the answer is written or, where it is a stream, handed over: a stream is not waited for. */
  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { authenticate, engine, maxBodyBytes } = this.#options;
    if (request.method === 'POST' && !isJson(request)) {
      return refuse(response, { code: 'BAD_USER_INPUT', message: 'The body must be application/json', status: 415 });
    }
    const body = request.method === 'POST' ? await readBody(request, maxBodyBytes) : undefined;
    if (body === null) return refuseTooLarge(request, response, maxBodyBytes);

    const viewer = await authenticate(request.headers.authorization);
    const answer = await engine.yoga.fetch(
      `http://localhost${request.url}`,
      {
        method: request.method ?? 'GET',
        headers: flatHeaders(request),
        ...(body === undefined ? {} : { body: body.toString() }),
      },
      { viewer, isBehind: () => response.writableNeedDrain, cutOff: () => response.destroy() },
    );
    for (const [name, value] of answer.headers) response.setHeader(name, value);
    response.statusCode = answer.status;
    const isStream = answer.headers.get('content-type')?.startsWith('text/event-stream') === true;
    if (isStream && answer.body !== null) await this.#stream(answer.body, viewer, response);
    else response.end(Buffer.from(await answer.text()));
  }

  /** A stream takes one of its user's seats, as a socket does, and ends when the token that opened it expires. */
  async #stream(body: ReadableStream<Uint8Array>, viewer: Viewer | null, response: ServerResponse): Promise<void> {
    const { seats, sendTimeoutMs } = this.#options;
    if (response.destroyed) return discardStream(body);
    const leaveSeat = viewer === null ? () => undefined : seats.take(viewer.userId);
    if (leaveSeat === null) {
      await discardStream(body);
      throw new ChatError('RATE_LIMITED', 'Too many connections of this user', { retryAfterMs: 1_000 });
    }
    const leftMs = viewer === null ? 0 : Math.max(0, viewer.expiresAt.getTime() - Date.now());
    const expiry = viewer === null ? undefined : setTimeout(() => response.destroy(), leftMs);
    this.#streams.add(response);
    response.once('close', () => {
      clearTimeout(expiry);
      leaveSeat();
      this.#streams.delete(response);
    });
    sendStream(body, response, sendTimeoutMs).catch(() => response.destroy());
  }
}

const isJson = ({ headers }: IncomingMessage): boolean =>
  /^application\/(graphql\+)?json *(;|$)/i.test(headers['content-type'] ?? '');

function flatHeaders({ headers }: IncomingMessage): Record<string, string> {
  const flat: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) if (value !== undefined) flat[name] = String(value);
  return flat;
}

function refuseTooLarge(request: IncomingMessage, response: ServerResponse, maxBytes: number): void {
  refuse(response, {
    code: 'BAD_USER_INPUT',
    message: `The body must have at most ${maxBytes} bytes`,
    status: 413,
  });
  // What still comes is read and forgotten, and so the connection is kept: a client that is cut while it writes would
  // never see the answer. The request's timeout bounds it.
  request.resume();
}
