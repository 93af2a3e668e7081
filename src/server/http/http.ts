import { randomUUID, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import { drain } from '../../domain/drain.js';
import type { ErrorCode } from '../../domain/errors.js';
import type { MaskError } from '../graphql/errors.js';
import type { GraphqlSockets } from '../ws/websocket.js';
import { refuse, refuseSocket, sendJson } from './answers.js';
import { Graphiql, graphiqlScriptPath, graphiqlStylePath } from './graphiql.js';
import type { GraphqlOverHttp } from './graphql-over-http.js';
import { isOwnName } from './hosts.js';
import { corsHeaders, type IsAllowedOrigin } from './origin.js';
import { Pipelines } from './pipelines.js';
import { SendProgress } from './send-progress.js';
import { pathOf, readTarget } from './target.js';
import { asksForWebSocket, passOverUpgrade } from './upgrade.js';

export interface HttpOptions {
  readonly graphql: GraphqlOverHttp;
  readonly sockets: GraphqlSockets;
  readonly maskError: MaskError;
  readonly isAllowedOrigin: IsAllowedOrigin;
  readonly graphiql: boolean;
  /** Present in the embedded mode only: elsewhere the login's route does not exist. */
  readonly devLogin: DevLogin | undefined;
  readonly metrics: Metrics | undefined;
  /** A connection that takes nothing of an answer for this long is cut. */
  readonly sendTimeoutMs: number;
  readonly checkReadiness: () => Promise<{ ready: boolean; body: Record<string, string> }>;
  readonly log: Logger;
}

/** Tokens for people on the machine that the server runs on. */
export interface DevLogin {
  /** Answers `POST /dev/login {"userId": 4}` with a token. */
  readonly serve: (request: IncomingMessage, response: ServerResponse) => Promise<void>;
  /** The `Authorization` of a demo user, for a page that is opened on this machine; undefined for other machines. */
  readonly authorizeDemoUser: (request: IncomingMessage) => Promise<string | undefined>;
}

interface Metrics {
  readonly registry: Registry;
  /** Who wants to see them shows this as a bearer token. */
  readonly token: string | undefined;
  /** That this server listens on. */
  readonly host: string;
}

const graphqlPath = '/graphql';
const requestTimeoutMs = 30_000;
const headersTimeoutMs = 10_000;
/** The two timeouts are looked after so often. */
const timeoutCheckMs = 1_000;
const drainTimeoutMs = 5_000;

/** The node:http server: routes, origins, the upgrade to WebSocket, and the orderly end. */
export class HttpServer {
  readonly #options: HttpOptions;
  readonly #server: Server;
  readonly #graphiql = new Graphiql();
  readonly #pipelines = new Pipelines((request, response) => void this.#serve(request, response));
  readonly #progress: SendProgress;
  #isStopping = false;

  constructor(options: HttpOptions) {
    this.#options = options;
    const { graphql, sendTimeoutMs } = options;
    this.#progress = new SendProgress({ sendTimeoutMs, isStream: (response) => graphql.isStream(response) });
    const timeouts = { requestTimeout: requestTimeoutMs, headersTimeout: headersTimeoutMs };
    this.#server = createServer({ ...timeouts, connectionsCheckingInterval: timeoutCheckMs }, (request, response) =>
      this.#pipelines.take(request, response),
    );
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

  /** Not ready any more, no new connections; what is under way finishes; then sockets and streams are closed. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    const closed = new Promise((resolve) => this.#server.close(resolve));
    await Promise.all([this.#options.sockets.stop(), drain(() => !this.#isUnderWay(), drainTimeoutMs)]);
    this.#options.graphql.cutStreams();
    this.#server.closeAllConnections();
    await closed;
  }

  #isUnderWay(): boolean {
    for (const response of this.#pipelines.underWay()) if (!this.#options.graphql.isStream(response)) return true;
    return false;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { isAllowedOrigin, maskError } = this.#options;
    readTarget(request);
    this.#identify(request, response);
    this.#progress.begin(response);
    try {
      if (isAllowedOrigin(request)) {
        for (const [name, value] of Object.entries(corsHeaders(request))) response.setHeader(name, value);
        await this.#route(request, response);
      } else {
        refuse(response, { code: 'FORBIDDEN', message: 'This origin is not allowed' });
      }
    } catch (error) {
      // A client that is gone wants no answer, and that it went is no fault of ours.
      if (request.destroyed && !request.complete) return;
      const { message, extensions } = maskError(error);
      refuse(response, { code: extensions.code as ErrorCode, message, extensions });
    }
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { graphql, graphiql, devLogin, metrics } = this.#options;
    const path = pathOf(request);
    if (request.method === 'OPTIONS') response.writeHead(204).end();
    else if (path === graphqlPath && graphiql && wantsPage(request)) await this.#sendGraphiql(request, response);
    else if (path === graphqlPath) await graphql.serve(request, response);
    else if (path === '/healthz') sendJson(response, 200, { status: 'ok' });
    else if (path === '/readyz') await this.#sendReadiness(response);
    else if (path === '/metrics' && metrics !== undefined) await sendMetrics(metrics, request, response);
    else if (path === '/dev/login' && devLogin !== undefined && request.method === 'POST') {
      await devLogin.serve(request, response);
    } else if (path === '/' && graphiql) response.writeHead(302, { location: 'graphql' }).end();
    else if (graphiql && (path === graphiqlScriptPath || path === graphiqlStylePath)) {
      await this.#graphiql.sendAsset(path, request, response);
    } else refuse(response, { code: 'NOT_FOUND', message: 'There is nothing here' });
  }

  async #sendGraphiql(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const authorization = await this.#options.devLogin?.authorizeDemoUser(request);
    this.#graphiql.sendPage(request, response, authorization);
  }

  async #sendReadiness(response: ServerResponse): Promise<void> {
    if (this.#isStopping) return sendJson(response, 503, { status: 'stopping' });
    const { ready, body } = await this.#options.checkReadiness();
    return sendJson(response, ready ? 200 : 503, body);
  }

  /** Gives the request an id, which its answer carries, and notes how it went: never its query, body or token. */
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
    // Its answer would come before that of a request which is not answered yet.
    if (this.#pipelines.lastOn(socket) !== undefined) socket.destroy();
    else if (this.#isStopping) refuseSocket(socket, '503 Service Unavailable');
    else if (pathOf(request) !== graphqlPath) refuseSocket(socket, '404 Not Found');
    else if (!this.#options.isAllowedOrigin(request)) refuseSocket(socket, '403 Forbidden');
    else this.#options.sockets.upgrade(request, socket, head, (cut) => this.#progress.watch(socket as Socket, cut));
  }
}

/** Of what node:http could not take for a request. */
const statusOf = ({ code }: NodeJS.ErrnoException): string =>
  code === 'ERR_HTTP_REQUEST_TIMEOUT' ? '408 Request Timeout' : '400 Bad Request';

/** A browser that opens the address, not a client that sends an operation in it. */
const wantsPage = ({ method, headers }: IncomingMessage): boolean =>
  method === 'GET' && headers.accept?.includes('text/html') === true;

/** The caller's own id where it is harmless to log and to send back. */
function requestIdOf({ headers }: IncomingMessage): string {
  const given = headers['x-request-id'];
  return typeof given === 'string' && /^[\w.:-]{1,100}$/.test(given) ? given : randomUUID();
}

async function sendMetrics({ registry, token, host }: Metrics, { headers }: IncomingMessage, response: ServerResponse) {
  if (token === undefined && !isOwnName(headers.host, host)) {
    return refuse(response, { code: 'FORBIDDEN', message: 'Metrics are not told under this name' });
  }
  if (token !== undefined && !isSame(headers.authorization ?? '', `Bearer ${token}`)) {
    return refuse(response, { code: 'UNAUTHENTICATED', message: 'METRICS_TOKEN is needed as a bearer token' });
  }
  response.writeHead(200, { 'content-type': registry.contentType, 'cache-control': 'no-store' });
  response.end(await registry.metrics());
}

const isSame = (given: string, wanted: string): boolean => {
  const [a, b] = [Buffer.from(given), Buffer.from(wanted)];
  return a.length === b.length && timingSafeEqual(a, b);
};
