import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, type Socket, Server as TcpServer } from 'node:net';
import type { Duplex } from 'node:stream';
import { setImmediate as endOfTurn } from 'node:timers/promises';
import type { Logger } from 'pino';
import { drain } from '../../domain/drain.js';
import type { ErrorCode } from '../../domain/errors.js';
import type { MaskError } from '../graphql/errors.js';
import type { GraphqlSockets } from '../ws/graphql-sockets.js';
import { refuse, refuseSocket } from './answers.js';
import { Arrivals } from './arrivals.js';
import { type GraphqlOverHttp, graphqlPath } from './graphql-over-http.js';
import { corsHeaders, type IsAllowedOrigin } from './origin.js';
import { Pipelines } from './pipelines.js';
import { createRouter, type Route } from './router.js';
import { SendProgress } from './send-progress.js';
import { pathOf, readTarget } from './target.js';
import { asksForWebSocket, passOverUpgrade } from './upgrade.js';

export interface HttpOptions {
  readonly routes: readonly Route[];
  readonly graphql: GraphqlOverHttp;
  readonly sockets: GraphqlSockets;
  readonly maskError: MaskError;
  readonly isAllowedOrigin: IsAllowedOrigin;
  /** A connection is closed if its peer takes nothing of a response for this long. */
  readonly sendTimeoutMs: number;
  /** An idle connection is closed after this time. */
  readonly keepAliveMs: number;
  readonly log: Logger;
}

const arrivalLimits = { requestMs: 30_000, idleFileMs: 30_000, fileMs: 3_600_000 };
const headersTimeoutMs = 10_000;
/** How often node checks the timeout. */
const timeoutCheckMs = 1_000;
const drainTimeoutMs = 5_000;

/**
 * The node:http server: its connections and shutdown, and the common part of all requests: an id, the check of the origin,
 * responses to preflight requests, and responses to errors.
 */
export class HttpServer {
  readonly #options: HttpOptions;
  readonly #server: Server;
  readonly #route: ReturnType<typeof createRouter>;
  readonly #pipelines = new Pipelines((request, response) => void this.#serve(request, response));
  readonly #arrivals = new Arrivals(arrivalLimits);
  readonly #progress: SendProgress;
  #isStopping = false;

  constructor(options: HttpOptions) {
    this.#options = options;
    const { graphql, sendTimeoutMs, keepAliveMs } = options;
    this.#route = createRouter(options.routes);
    this.#progress = new SendProgress({
      sendTimeoutMs,
      isStream: (response) => graphql.isStream(response) || isFile(response.req),
    });
    const timeouts = {
      // See `Arrivals`.
      requestTimeout: 0,
      headersTimeout: headersTimeoutMs,
      keepAliveTimeout: keepAliveMs,
    };
    this.#server = createServer({ ...timeouts, connectionsCheckingInterval: timeoutCheckMs }, (request, response) => {
      this.#arrivals.watch(request, response);
      this.#pipelines.take(request, response);
    });
    this.#server.on('connection', (socket) => {
      this.#pipelines.open(socket);
      this.#progress.watch(socket);
    });
    this.#server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
    this.#server.on('clientError', (error, socket) => refuseSocket(socket, statusOf(error)));
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

  get isStopping(): boolean {
    return this.#isStopping;
  }

  /**
   * Reports not ready, accepts no new connections, waits for running requests, then closes sockets and streams. Requests that
   * have arrived already are answered, also if they are not read yet.
   */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await readArrived();
    // The server's own close() also closes idle connections at once, and those with an unread request are idle to it.
    const closed = new Promise((resolve) => TcpServer.prototype.close.call(this.#server, resolve));
    await Promise.all([this.#options.sockets.stop(), this.#finish()]);
    this.#options.graphql.cutStreams();
    this.#server.closeAllConnections();
    await closed;
  }

  async #finish(): Promise<void> {
    const deadline = performance.now() + drainTimeoutMs;
    do {
      await drain(() => !this.#isUnderWay(), deadline - performance.now());
      await readArrived();
    } while (this.#isUnderWay() && performance.now() < deadline);
  }

  #isUnderWay(): boolean {
    for (const response of this.#pipelines.underWay()) if (!this.#options.graphql.isStream(response)) return true;
    return false;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { isAllowedOrigin, maskError } = this.#options;
    readTarget(request);
    this.#identify(request, response);
    if (this.#isStopping) response.setHeader('connection', 'close');
    this.#progress.begin(response);
    try {
      if (!isAllowedOrigin(request)) {
        refuse(response, { code: 'FORBIDDEN', message: 'This origin is not allowed' });
        return;
      }
      for (const [name, value] of Object.entries(corsHeaders(request))) response.setHeader(name, value);
      if (request.method === 'OPTIONS') response.writeHead(204).end();
      else await this.#route(request, response);
    } catch (error) {
      // The client has gone: it gets no response, and that is no error of this server.
      if (request.destroyed && !request.complete) return;
      const { message, extensions } = maskError(error);
      refuse(response, { code: extensions.code as ErrorCode, message, extensions });
    }
  }

  /** Gives the request an id, which the response contains, and logs its outcome: never its query, body or token. */
  #identify(request: IncomingMessage, response: ServerResponse): void {
    const startedAt = performance.now();
    const requestId = requestIdOf(request);
    response.setHeader('x-request-id', requestId);
    response.setHeader('x-content-type-options', 'nosniff');
    response.once('close', () => {
      const ms = Math.round(performance.now() - startedAt);
      const { method } = request;
      this.#options.log.debug({ requestId, method, path: pathOf(request), status: response.statusCode, ms }, 'Request');
    });
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (!asksForWebSocket(request)) {
      passOverUpgrade(this.#server, request, { socket, rest: head, before: this.#pipelines.lastOn(socket) });
      return;
    }
    readTarget(request);
    socket.on('error', () => socket.destroy());
    // Its response would come before that of an earlier request on this connection.
    if (this.#pipelines.lastOn(socket) !== undefined) socket.destroy();
    else if (this.#isStopping) refuseSocket(socket, '503 Service Unavailable');
    else if (pathOf(request) !== graphqlPath) refuseSocket(socket, '404 Not Found');
    else if (!this.#options.isAllowedOrigin(request)) refuseSocket(socket, '403 Forbidden');
    else this.#options.sockets.upgrade(request, socket, head, (cut) => this.#progress.watch(socket as Socket, cut));
  }
}

/**
 * Resolves once everything has been read that had arrived before the call: the first turn of the event loop accepts
 * connections and reads from those that are open, the second one reads from the accepted ones.
 */
async function readArrived(): Promise<void> {
  await endOfTurn();
  await endOfTurn();
}

/** A file over a slow line may take longer than any other response, as long as it is read: see file-routes.ts. */
const isFile = ({ url }: IncomingMessage): boolean => url?.startsWith('/files/') === true;

/** The status for a request that node:http could not parse. */
const statusOf = ({ code }: NodeJS.ErrnoException): string =>
  code === 'ERR_HTTP_REQUEST_TIMEOUT' ? '408 Request Timeout' : '400 Bad Request';

/** Returns the caller's id if it is harmless to log and to send back, otherwise a new one. */
function requestIdOf({ headers }: IncomingMessage): string {
  const given = headers['x-request-id'];
  return typeof given === 'string' && /^[\w.:-]{1,100}$/.test(given) ? given : randomUUID();
}
