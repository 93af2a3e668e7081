import { randomUUID, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import { ChatError, type ErrorCode } from '../domain/errors.js';
import type { Viewer } from '../domain/viewer.js';
import { readBody, sendStream } from './body.js';
import type { Authenticate } from './context.js';
import { httpStatuses, type MaskError } from './errors.js';
import { Graphiql, graphiqlScriptPath, graphiqlStylePath } from './graphiql.js';
import type { GraphqlEngine } from './graphql.js';
import { corsHeaders, type IsAllowedOrigin } from './origin.js';
import type { Seats } from './seats.js';
import type { GraphqlSockets } from './websocket.js';

export interface HttpOptions {
  readonly engine: GraphqlEngine;
  readonly sockets: GraphqlSockets;
  readonly authenticate: Authenticate;
  readonly maskError: MaskError;
  readonly isAllowedOrigin: IsAllowedOrigin;
  readonly seats: Seats;
  readonly maxBodyBytes: number;
  readonly sendTimeoutMs: number;
  readonly graphiql: boolean;
  /** Signs a token for a demo user. Present in the embedded mode only: elsewhere the login route does not exist. */
  readonly devLogin: ((userId: number) => Promise<string>) | undefined;
  readonly metrics: { readonly registry: Registry; readonly token: string | undefined } | undefined;
  readonly checkReadiness: () => Promise<{ ready: boolean; body: Record<string, string> }>;
  readonly log: Logger;
}

const graphqlPath = '/graphql';
const requestTimeoutMs = 30_000;
const headersTimeoutMs = 10_000;
const drainTimeoutMs = 5_000;
const pollMs = 10;
const demoUserId = 4;

/** The HTTP side of the server: routes, origins, bodies, streams, and the upgrade to WebSocket. */
export class HttpServer {
  readonly #options: HttpOptions;
  readonly #server: Server;
  readonly #graphiql = new Graphiql();
  readonly #streams = new Set<ServerResponse>();
  #underWay = 0;
  #isStopping = false;

  constructor(options: HttpOptions) {
    this.#options = options;
    this.#server = createServer((request, response) => void this.#serve(request, response));
    this.#server.requestTimeout = requestTimeoutMs;
    this.#server.headersTimeout = headersTimeoutMs;
    this.#server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
    this.#server.on('clientError', (_error, socket) => refuseRaw(socket, '400 Bad Request'));
  }

  /** Open SSE streams. */
  get streamCount(): number {
    return this.#streams.size;
  }

  /** Resolves with the port once connections are accepted. */
  listen(port: number, host: string): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, () => {
        this.#server.off('error', reject);
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  /** Not ready any more, no new connections; what is under way finishes; then sockets and streams are closed. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    const closed = new Promise((resolve) => this.#server.close(resolve));
    await Promise.all([this.#options.sockets.stop(), this.#drain()]);
    // Cut, not completed: a completed stream would tell its client that there is no more to come.
    for (const stream of this.#streams) stream.destroy();
    this.#server.closeAllConnections();
    await closed;
  }

  async #drain(): Promise<void> {
    const deadline = Date.now() + drainTimeoutMs;
    while (this.#underWay > 0 && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, pollMs));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { log, isAllowedOrigin, maskError } = this.#options;
    const startedAt = performance.now();
    const id = requestId(request);
    const path = pathOf(request);
    response.setHeader('x-request-id', id);
    response.setHeader('x-content-type-options', 'nosniff');
    response.once('close', () => {
      const ms = Math.round(performance.now() - startedAt);
      log.debug({ requestId: id, method: request.method, path, status: response.statusCode, ms }, 'Request');
    });
    this.#underWay += 1;
    try {
      if (!isAllowedOrigin(request)) return refuse(response, 'FORBIDDEN', 'This origin is not allowed');
      for (const [name, value] of Object.entries(corsHeaders(request))) response.setHeader(name, value);
      await this.#route(path, request, response);
    } catch (error) {
      const { message, extensions } = maskError(error);
      refuse(response, extensions.code as ErrorCode, message, extensions);
    } finally {
      this.#underWay -= 1;
    }
  }

  async #route(path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { graphiql, devLogin, metrics } = this.#options;
    if (request.method === 'OPTIONS') return void response.writeHead(204).end();
    if (path === graphqlPath) return this.#graphql(request, response);
    if (path === '/healthz') return sendJson(response, 200, { status: 'ok' });
    if (path === '/readyz') return this.#readiness(response);
    if (path === '/metrics' && metrics !== undefined) return sendMetrics(metrics, request, response);
    if (path === '/dev/login' && devLogin !== undefined && request.method === 'POST') {
      return this.#login(devLogin, request, response);
    }
    if (graphiql && path === '/') return void response.writeHead(302, { location: graphqlPath }).end();
    if (graphiql && (path === graphiqlScriptPath || path === graphiqlStylePath)) {
      return this.#graphiql.sendAsset(path, request, response);
    }
    refuse(response, 'NOT_FOUND', 'There is nothing here');
  }

  async #graphql(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { authenticate, engine, maxBodyBytes, graphiql, sendTimeoutMs } = this.#options;
    const { accept = '', authorization } = request.headers;
    if (graphiql && request.method === 'GET' && accept.includes('text/html') && !request.url?.includes('?')) {
      return this.#graphiql.sendPage(response, await this.#demoAuthorization(request));
    }
    if (request.method === 'POST' && !isJson(request)) {
      response.statusCode = 415;
      return refuse(response, 'BAD_USER_INPUT', 'The body must be application/json', undefined, 415);
    }
    const body = request.method === 'POST' ? await readBody(request, maxBodyBytes) : undefined;
    if (body === null) return refuseTooLarge(request, response, maxBodyBytes);

    const viewer = await authenticate(authorization);
    const answer = await engine.fetch(
      `http://localhost${request.url}`,
      { method: request.method ?? 'GET', headers: flatHeaders(request), ...(body === undefined ? {} : { body: new Uint8Array(body) }) },
      { viewer, cutOff: () => response.destroy() },
    );
    answer.headers.forEach((value, name) => response.setHeader(name, value));
    response.statusCode = answer.status;
    if (answer.headers.get('content-type')?.startsWith('text/event-stream') === true && answer.body !== null) {
      return this.#stream(answer.body, viewer, response, sendTimeoutMs);
    }
    response.end(await answer.text());
  }

  /** A stream takes one of its user's seats, as a socket does, and ends when the token that opened it expires. */
  async #stream(
    body: ReadableStream<Uint8Array>,
    viewer: Viewer | null,
    response: ServerResponse,
    sendTimeoutMs: number,
  ): Promise<void> {
    const leaveSeat = viewer === null ? () => undefined : this.#options.seats.take(viewer.userId);
    if (leaveSeat === null || this.#isStopping) {
      await body.cancel();
      throw leaveSeat === null
        ? new ChatError('RATE_LIMITED', 'Too many connections of this user', { retryAfterMs: 1_000 })
        : new ChatError('UNAVAILABLE', 'The server restarts; try again');
    }
    this.#streams.add(response);
    const leftMs = viewer === null ? 0 : viewer.expiresAt.getTime() - Date.now();
    const expiry = viewer === null ? undefined : setTimeout(() => response.destroy(), Math.max(0, leftMs));
    // A stream is not waited for at shutdown.
    this.#underWay -= 1;
    try {
      await sendStream(body, response, sendTimeoutMs);
    } finally {
      this.#underWay += 1;
      clearTimeout(expiry);
      leaveSeat();
      this.#streams.delete(response);
    }
  }

  async #readiness(response: ServerResponse): Promise<void> {
    if (this.#isStopping) return sendJson(response, 503, { status: 'stopping' });
    const { ready, body } = await this.#options.checkReadiness();
    sendJson(response, ready ? 200 : 503, body);
  }

  async #login(
    devLogin: (userId: number) => Promise<string>,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    if (!isLocalHost(request)) return refuse(response, 'FORBIDDEN', 'The development login is for this machine');
    const body = await readBody(request, this.#options.maxBodyBytes);
    if (body === null || !isJson(request)) return refuse(response, 'BAD_USER_INPUT', 'The body must be small JSON');
    const userId = parseLogin(body);
    if (userId === null) return refuse(response, 'BAD_USER_INPUT', 'The body must be {"userId": 4}, a whole number from 1');
    sendJson(response, 200, { token: await devLogin(userId) });
  }

  async #demoAuthorization(request: IncomingMessage): Promise<string | undefined> {
    const { devLogin } = this.#options;
    return devLogin === undefined || !isLocalHost(request) ? undefined : `Bearer ${await devLogin(demoUserId)}`;
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy());
    if (this.#isStopping) return refuseRaw(socket, '503 Service Unavailable');
    if (pathOf(request) !== graphqlPath) return refuseRaw(socket, '404 Not Found');
    if (!this.#options.isAllowedOrigin(request)) return refuseRaw(socket, '403 Forbidden');
    this.#options.sockets.upgrade(request, socket, head);
  }
}

const pathOf = ({ url = '/' }: IncomingMessage): string => url.split('?', 1)[0] ?? '/';

/** The caller's own id where it is harmless to log and to send back. */
function requestId({ headers }: IncomingMessage): string {
  const given = headers['x-request-id'];
  return typeof given === 'string' && /^[\w.:-]{1,100}$/.test(given) ? given : randomUUID();
}

const isJson = ({ headers }: IncomingMessage): boolean =>
  /^application\/(graphql\+)?json *(;|$)/i.test(headers['content-type'] ?? '');

/** Against pages elsewhere whose name is made to resolve to this machine. */
const isLocalHost = ({ headers }: IncomingMessage): boolean =>
  /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/i.test(headers.host ?? '');

function flatHeaders({ headers }: IncomingMessage): Record<string, string> {
  const flat: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) if (value !== undefined) flat[name] = String(value);
  return flat;
}

function parseLogin(body: Buffer): number | null {
  try {
    const { userId } = JSON.parse(body.toString()) as { userId?: unknown };
    return Number.isInteger(userId) && (userId as number) >= 1 && (userId as number) < 2 ** 31
      ? (userId as number)
      : null;
  } catch {
    return null;
  }
}

async function sendMetrics(
  { registry, token }: { registry: Registry; token: string | undefined },
  { headers }: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (token !== undefined && !isSame(headers.authorization ?? '', `Bearer ${token}`)) {
    return refuse(response, 'UNAUTHENTICATED', 'METRICS_TOKEN is needed as a bearer token');
  }
  response.writeHead(200, { 'content-type': registry.contentType });
  response.end(await registry.metrics());
}

const isSame = (given: string, wanted: string): boolean => {
  const [a, b] = [Buffer.from(given), Buffer.from(wanted)];
  return a.length === b.length && timingSafeEqual(a, b);
};

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' });
  response.end(JSON.stringify(body));
}

/** Refuses the whole request, in the shape of a GraphQL answer. */
function refuse(
  response: ServerResponse,
  code: ErrorCode,
  message: string,
  extensions: Record<string, unknown> = { code },
  status = httpStatuses[code],
): void {
  if (response.headersSent) return void response.destroy();
  if (typeof extensions.retryAfterMs === 'number') {
    response.setHeader('retry-after', Math.ceil(extensions.retryAfterMs / 1_000));
  }
  sendJson(response, status, { errors: [{ message, extensions }] });
}

function refuseTooLarge(request: IncomingMessage, response: ServerResponse, maxBytes: number): void {
  response.setHeader('connection', 'close');
  refuse(response, 'BAD_USER_INPUT', `The body must have at most ${maxBytes} bytes`, undefined, 413);
  // What still comes is read and forgotten: a client that is cut while it writes would never see the answer.
  request.resume();
}

function refuseRaw(socket: Duplex, status: string): void {
  if (socket.writable) socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
  else socket.destroy();
}
