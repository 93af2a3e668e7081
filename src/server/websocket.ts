import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import {
  type ExecutionArgs,
  type GraphQLError,
  type GraphQLFormattedError,
  getOperationAST,
  OperationTypeNode,
} from 'graphql';
import {
  type Context as GraphqlWsContext,
  handleProtocols,
  makeServer,
  type Server,
  type SubscribePayload,
} from 'graphql-ws';
import type { Logger } from 'pino';
import { type WebSocket, WebSocketServer } from 'ws';
import { ChatError } from '../domain/errors.js';
import type { Viewer } from '../domain/viewer.js';
import type { Authenticate } from './context.js';
import type { MaskError } from './errors.js';
import type { GraphqlEngine } from './graphql.js';
import type { Seats } from './seats.js';

export interface WebSocketOptions {
  readonly engine: GraphqlEngine;
  readonly authenticate: Authenticate;
  readonly maskError: MaskError;
  readonly seats: Seats;
  readonly maxFrameBytes: number;
  readonly maxSubscriptions: number;
  /** No progress on one send for this long, and the subscriber is a slow consumer. */
  readonly sendTimeoutMs: number;
  readonly log: Logger;
}

/** Close codes of this server, beside those of the protocol. 4403 makes clients come back with a fresh token. */
export const closeCodes = { badToken: 4403, tooManySockets: 4429, slowConsumer: 4490, restart: 1012, tryAgain: 1013 };

const initTimeoutMs = 10_000;
const pingMs = 12_000;
/** After a close frame that the peer does not answer. */
const closeTimeoutMs = 3_000;
const drainTimeoutMs = 5_000;
/** Queries and mutations that may be under way beside the subscriptions. */
const maxOtherOperations = 50;
/** Nothing more is read from a socket that has this much to take first. */
const maxUnsentBytes = 1_048_576;
const maxTimerMs = 2 ** 31 - 1;

interface Extra {
  readonly socket: WebSocket;
  readonly request: IncomingMessage;
  readonly subscriptions: Set<string>;
  /** Whether the peer gave a sign of life since the last ping. */
  isAlive: boolean;
  viewer: Viewer | null;
  leaveSeat: (() => void) | undefined;
  expiry: NodeJS.Timeout | undefined;
}

type Connection = GraphqlWsContext<Record<string, unknown> | undefined, Extra>;

/** The `graphql-transport-ws` protocol on sockets that an HTTP server upgrades. */
export class GraphqlSockets {
  readonly #options: WebSocketOptions;
  readonly #server: WebSocketServer;
  readonly #protocol: Server<Extra>;
  #underWay = 0;
  #isStopping = false;

  constructor(options: WebSocketOptions) {
    this.#options = options;
    this.#server = new WebSocketServer({
      noServer: true,
      maxPayload: options.maxFrameBytes,
      perMessageDeflate: false,
      handleProtocols: (protocols) => handleProtocols(protocols),
    });
    this.#protocol = this.#createProtocol();
  }

  get size(): number {
    return this.#server.clients.size;
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.#server.handleUpgrade(request, socket, head, (webSocket) => this.#open(webSocket, request));
  }

  /** Lets what is under way finish, then closes every socket with 1012, which clients take as a reason to come back. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    const deadline = Date.now() + drainTimeoutMs;
    while (this.#underWay > 0 && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 10));
    const sockets = [...this.#server.clients];
    await Promise.all(
      sockets.map(
        (socket) =>
          new Promise((resolve) => {
            socket.once('close', resolve);
            close(socket, closeCodes.restart, 'The server restarts');
          }),
      ),
    );
    this.#server.close();
  }

  #createProtocol(): Server<Extra> {
    const { engine, maskError } = this.#options;
    return makeServer<Record<string, unknown> | undefined, Extra>({
      connectionInitWaitTimeout: initTimeoutMs,
      onConnect: (connection) => this.#connect(connection),
      onSubscribe: (connection, id, payload) =>
        this.#prepare(connection, id, payload).catch((error: unknown) => [maskError(error)]),
      execute: async (args: ExecutionArgs) => {
        this.#underWay += 1;
        try {
          return await (args.rootValue as ReturnType<typeof engine.getEnveloped>).execute(args);
        } finally {
          this.#underWay -= 1;
        }
      },
      subscribe: (args: ExecutionArgs) =>
        (args.rootValue as ReturnType<typeof engine.getEnveloped>).subscribe({ ...args, rootValue: undefined }),
      onError: (_connection, _id, _payload, errors) => errors.map((error) => withoutHttp(maskError(error))),
      onComplete: ({ extra }, id) => void extra.subscriptions.delete(id),
    });
  }

  #open(socket: WebSocket, request: IncomingMessage): void {
    const { log } = this.#options;
    const extra: Extra = {
      socket,
      request,
      subscriptions: new Set(),
      isAlive: true,
      viewer: null,
      leaveSeat: undefined,
      expiry: undefined,
    };
    const closed = this.#protocol.opened(
      {
        protocol: socket.protocol,
        send: (text) => this.#send(extra, text),
        close: (code, reason) => close(socket, code ?? 1000, reason ?? ''),
        onMessage: (listener) =>
          socket.on('message', (data) => {
            extra.isAlive = true;
            if (socket.bufferedAmount > maxUnsentBytes) socket.pause();
            listener(String(data)).catch((error: unknown) => {
              if (socket.readyState !== socket.OPEN) return;
              log.warn({ err: error }, 'A socket broke the protocol');
              close(socket, 4400, 'Bad request');
            });
          }),
      },
      extra,
    );
    const stopPinging = keepAlive(extra);
    socket.on('error', (error) => log.debug({ err: error }, 'A socket failed'));
    socket.once('close', (code, reason) => {
      stopPinging();
      clearTimeout(extra.expiry);
      extra.leaveSeat?.();
      void closed(code, String(reason));
    });
  }

  async #connect({ extra, connectionParams }: Connection): Promise<boolean> {
    const { socket } = extra;
    try {
      extra.viewer = await this.#options.authenticate(findAuthorization(connectionParams));
    } catch (error) {
      if (!(error instanceof ChatError) || error.code !== 'UNAUTHENTICATED') {
        this.#options.maskError(error);
        close(socket, closeCodes.tryAgain, 'Try again');
      }
      // graphql-ws closes with 4403.
      return false;
    }
    if (extra.viewer === null || socket.readyState !== socket.OPEN) return false;
    const leaveSeat = this.#options.seats.take(extra.viewer.userId);
    if (leaveSeat === null) {
      close(socket, closeCodes.tooManySockets, 'Too many connections of this user');
      return false;
    }
    extra.leaveSeat = leaveSeat;
    const leftMs = extra.viewer.expiresAt.getTime() - Date.now();
    const expire = () => close(socket, closeCodes.badToken, 'The token has expired');
    extra.expiry = setTimeout(expire, Math.min(Math.max(leftMs, 0), maxTimerMs));
    return true;
  }

  async #prepare(
    { extra, subscriptions }: Connection,
    id: string,
    payload: SubscribePayload,
  ): Promise<ExecutionArgs | readonly GraphQLError[]> {
    const { engine, maxSubscriptions, maskError } = this.#options;
    if (this.#isStopping) throw new ChatError('UNAVAILABLE', 'The server restarts; try again');
    if (Object.keys(subscriptions).length > maxSubscriptions + maxOtherOperations) throw tooMany();
    const cutOff = () => close(extra.socket, closeCodes.slowConsumer, 'slow consumer');
    const enveloped = engine.getEnveloped({ viewer: extra.viewer, cutOff });
    const document = enveloped.parse(payload.query);
    const problems = enveloped.validate(enveloped.schema, document);
    if (problems.length > 0) return problems.map(maskError);
    const contextValue = await enveloped.contextFactory();
    const operation = getOperationAST(document, payload.operationName);
    if (operation == null) throw new ChatError('BAD_USER_INPUT', 'operationName names no operation of the document');
    if (operation.operation === OperationTypeNode.SUBSCRIPTION) {
      if (extra.subscriptions.size >= maxSubscriptions) throw tooMany();
      extra.subscriptions.add(id);
    }
    return {
      schema: enveloped.schema,
      document,
      operationName: payload.operationName,
      variableValues: payload.variables,
      contextValue,
      rootValue: enveloped,
    };
  }

  /** Resolves once the bytes have left this process: graphql-ws awaits it, so a slow socket is not asked for more. */
  #send(extra: Extra, text: string): Promise<void> {
    const { socket } = extra;
    if (socket.readyState !== socket.OPEN) return Promise.reject(new Error('The socket is closing'));
    return new Promise((resolve, reject) => {
      const slow = setTimeout(
        () => close(socket, closeCodes.slowConsumer, 'slow consumer'),
        this.#options.sendTimeoutMs,
      );
      socket.send(text, (error) => {
        clearTimeout(slow);
        extra.isAlive = true;
        if (socket.isPaused && socket.bufferedAmount < maxUnsentBytes) socket.resume();
        if (error) reject(error);
        else resolve();
      });
    });
  }
}

/** Closes, and does not wait for ever for a peer that does not read. */
function close(socket: WebSocket, code: number, reason: string): void {
  if (socket.readyState !== socket.OPEN) return;
  socket.close(code, reason);
  const timer = setTimeout(() => socket.terminate(), closeTimeoutMs);
  socket.once('close', () => clearTimeout(timer));
}

/** A peer that vanished without a word is found out by its silence. */
function keepAlive(extra: Extra): () => void {
  const { socket } = extra;
  socket.on('pong', () => {
    extra.isAlive = true;
  });
  const timer = setInterval(() => {
    if (!extra.isAlive) return socket.terminate();
    extra.isAlive = false;
    if (socket.readyState === socket.OPEN) socket.ping();
  }, pingMs);
  return () => clearInterval(timer);
}

/** Header names ignore letter case, and clients that pass their headers on in connection_init rely on it. */
function findAuthorization(params: Record<string, unknown> | undefined): string | undefined {
  const entry = Object.entries(params ?? {}).find(([name]) => name.toLowerCase() === 'authorization');
  return typeof entry?.[1] === 'string' ? entry[1] : undefined;
}

/** yoga notes for its own use which HTTP status an error would have. */
function withoutHttp(error: GraphQLError): GraphQLFormattedError {
  const { extensions: { http: _http, ...extensions } = {}, ...formatted } = error.toJSON();
  return { ...formatted, extensions };
}

const tooMany = () => new ChatError('RATE_LIMITED', 'Too many operations on this socket', { retryAfterMs: 1_000 });
