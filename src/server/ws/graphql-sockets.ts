import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import {
  type ExecutionArgs,
  type ExecutionResult,
  type GraphQLError,
  getOperationAST,
  OperationTypeNode,
} from 'graphql';
import { type Context, handleProtocols, MessageType, makeServer, type Server, type SubscribePayload } from 'graphql-ws';
import pLimit, { type LimitFunction } from 'p-limit';
import type { Logger } from 'pino';
import { type WebSocket, WebSocketServer } from 'ws';
import { drain } from '../../domain/drain.js';
import { ChatError } from '../../domain/errors.js';
import { every, type Loop } from '../../domain/every.js';
import type { Slices } from '../../domain/slices.js';
import type { Viewer } from '../../domain/viewer.js';
import type { Authenticate, RequestContext } from '../graphql/context.js';
import type { GraphqlEngine, TransportContext } from '../graphql/engine.js';
import { type MaskError, toFormatted } from '../graphql/errors.js';
import type { ConnectionLimit } from '../graphql/limits/connection-limit.js';
import { tooMuchUnread, type UnreadAnswers } from '../graphql/limits/unread-answers.js';
import type { Answer, Asker, UserTurns } from '../graphql/limits/user-turns.js';
import { findMutationInputs } from '../graphql/mutation-inputs.js';
import { limitMessage, type PrintResult } from '../graphql/print.js';
import { ResultSender } from '../graphql/result-sender.js';
import { type FindRoom, RoomTurns } from '../graphql/room-turns.js';
import type { Subscribe } from '../graphql/subscribe.js';
import { assertModest, declaredVariables } from '../graphql/variables.js';
import { readMessage } from './client-message.js';
import { ClientSocket } from './client-socket.js';
import { closeCodes } from './close-codes.js';
import { nextFrameOf, toNextFrame } from './next-frames.js';

export interface WebSocketOptions {
  readonly engine: GraphqlEngine;
  readonly userTurns: UserTurns;
  readonly subscribe: Subscribe;
  readonly authenticate: Authenticate;
  readonly maskError: MaskError;
  readonly print: PrintResult;
  readonly connectionLimit: ConnectionLimit;
  readonly slices: Slices;
  readonly findRoomOfMessage: FindRoom;
  readonly maxFrameBytes: number;
  readonly maxSubscriptions: number;
  readonly maxAnswerBytes: number;
  readonly unread: UnreadAnswers;
  readonly log: Logger;
}

/** The interval between the pings of a socket. */
const pingMs = 12_000;
const pingTurns = 12;
const initTimeoutMs = 10_000;
/** The maximum number of sockets without a connection_init. Clients send it at once, so the oldest socket has had its time. */
const maxUninitialised = 1_000;
/** The maximum number of fragments of a message, and of network chunks of a frame: a normal one of 256 KB has 200. */
const maxPieces = 1_024;
const drainTimeoutMs = 5_000;
/** The maximum number of running queries and mutations on a socket, in addition to its subscriptions. */
const maxOtherOperations = 50;
/** The maximum number of queries that run at the same time, because their answers may stay unread. */
const maxQueriesAtOnce = 4;
const maxTimerMs = 2 ** 31 - 1;
/** The reason of an abort. Without one, each abort would create an exception with a stack. */
const gone = 'The client wants no answer any more';

/** A new operation waits for so long until the earlier one with its id has ended, which its client has completed. */
const maxEndMs = 1_000;

/** The state of an operation that its client has completed. */
class Ending {
  end: () => void = () => undefined;
  readonly ended = new Promise<void>((resolve) => {
    this.end = resolve;
  });
}

/** The state of a connection. */
interface Extra extends Pick<TransportContext, 'isBehind' | 'cutOff'> {
  readonly socket: ClientSocket;
  /** Operations that have not ended here, by their ids: until then, the id cannot be used again. */
  readonly operations: Map<string, OperationTypeNode | Ending>;
  /** Created by the first query. */
  queries: LimitFunction | undefined;
  /** Unanswered queries, by their ids: a query is aborted when its client completes it or disconnects. */
  readonly unanswered: Map<string, AbortController>;
  /** Created by the first mutation. */
  turns: RoomTurns | undefined;
  /** The peer's address, which is charged for messages until the user is known. */
  readonly address: string;
  /** The header of the upgrade, until the connection is initialized. */
  authorization: string | undefined;
  viewer: Viewer | null;
}

/** graphql-ws's function for a message, which it also accepts parsed. */
type Listener = (message: unknown) => Promise<void>;

type Params = Record<string, unknown> | undefined;
type Connection = Context<Params, Extra>;

/** The `graphql-transport-ws` protocol on the sockets that an HTTP server upgrades. */
export class GraphqlSockets {
  readonly #options: WebSocketOptions;
  readonly #server: WebSocketServer;
  readonly #protocol: Server<Extra>;
  readonly #sockets = new Set<ClientSocket>();
  /** From the oldest to the newest. */
  readonly #uninitialised = new Set<ClientSocket>();
  readonly #pinging: Loop;
  #pingTurn = 0;
  #underWay = 0;
  #isStopping = false;

  constructor(options: WebSocketOptions) {
    this.#options = options;
    this.#protocol = this.#createProtocol();
    this.#server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      maxPayload: options.maxFrameBytes,
      maxFragments: maxPieces,
      maxBufferedChunks: maxPieces,
      perMessageDeflate: false,
      handleProtocols: (protocols) => handleProtocols(protocols),
    });
    this.#pinging = every(pingMs / pingTurns, () => this.#ping());
  }

  /** The number of open sockets. */
  get size(): number {
    return this.#sockets.size;
  }

  /** @param onOpen - called once the connection is a WebSocket, with a function that cuts its peer off */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, onOpen: (cut: () => void) => void): void {
    const { authorization } = request.headers;
    this.#server.handleUpgrade(request, socket, head, (webSocket) => {
      const opened = this.#open(webSocket, socket as Socket, authorization);
      onOpen(() => opened.cutOff());
    });
  }

  /** Waits for running operations, then closes every socket with 1012, after which clients connect again. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await drain(() => this.#underWay === 0, drainTimeoutMs);
    const closing = [...this.#sockets].map((socket) => {
      const closed = new Promise<void>((resolve) => socket.onClose(() => resolve()));
      socket.close(closeCodes.restart, 'The server stops or restarts');
      return closed;
    });
    await Promise.all(closing);
    await this.#pinging.stop();
  }

  /** Pings the sockets of the current turn; one timer serves all sockets. */
  #ping(): void {
    this.#pingTurn = (this.#pingTurn + 1) % pingTurns;
    for (const socket of this.#sockets) if (socket.pingTurn === this.#pingTurn) socket.ping();
  }

  #open(webSocket: WebSocket, stream: Socket, authorization: string | undefined): ClientSocket {
    const { unread, userTurns, maxAnswerBytes, log } = this.#options;
    const socket = new ClientSocket(webSocket, stream, { unread, log, pingTurn: this.#pingTurn });
    this.#sockets.add(socket);
    this.#awaitInit(socket);
    const extra: Extra = {
      socket,
      operations: new Map(),
      queries: undefined,
      unanswered: new Map(),
      turns: undefined,
      address: stream.remoteAddress ?? '',
      authorization,
      viewer: null,
      isBehind: () => socket.isBehind,
      cutOff: () => socket.cutOff(),
    };
    const closed = this.#protocol.opened(
      {
        protocol: socket.protocol,
        send: (text) => {
          if (extra.viewer !== null) userTurns.chargeAnswer(extra.viewer.userId, text);
          return socket.send(limitMessage(text, maxAnswerBytes));
        },
        close: (code = 1_000, reason = '') => socket.close(code, reason),
        onMessage: (listener) =>
          socket.onMessage(
            (text) => this.#receive(extra, text, listener as Listener),
            (text) => userTurns.delayFrame(extra.viewer?.userId ?? extra.address, text.length),
          ),
      },
      extra,
    );
    socket.onClose((code, reason) => {
      this.#sockets.delete(socket);
      this.#uninitialised.delete(socket);
      for (const query of extra.unanswered.values()) query.abort(gone);
      void closed(code, reason);
    });
    return socket;
  }

  #awaitInit(socket: ClientSocket): void {
    this.#uninitialised.add(socket);
    if (this.#uninitialised.size <= maxUninitialised) return;
    const [oldest] = this.#uninitialised;
    if (oldest === undefined) return;
    this.#uninitialised.delete(oldest);
    oldest.close(closeCodes.initTimeout, 'Too many others wait for their connection_init');
  }

  #createProtocol(): Server<Extra> {
    return makeServer<Params, Extra>({
      connectionInitWaitTimeout: initTimeoutMs,
      onConnect: (connection) => this.#connect(connection),
      onSubscribe: (connection, id, payload) =>
        this.#prepare(connection, id, payload).catch((error: unknown) => [this.#options.maskError(error)]),
      execute: (args: ExecutionArgs) => this.#execute(args),
      subscribe: (args: ExecutionArgs) => this.#subscribe(args),
      onError: (_connection, _id, _payload, errors) =>
        errors.map((error) => toFormatted(this.#options.maskError(error))),
      onComplete: ({ extra }, id) => this.#end(extra, id),
    });
  }

  /** Returns false if it has closed the socket, with a reason. Native clients send the token in the upgrade's header. */
  async #connect(connection: Connection): Promise<boolean> {
    const { extra, connectionParams } = connection;
    const { socket, authorization } = extra;
    this.#uninitialised.delete(socket);
    // graphql-ws would keep the payload, whatever its size, for the life of the socket.
    Object.assign(connection, { connectionParams: undefined });
    const { authenticate, maskError, connectionLimit } = this.#options;
    extra.authorization = undefined;
    try {
      extra.viewer = await authenticate(findAuthorization(connectionParams) ?? authorization);
    } catch (error) {
      const { extensions, message } = maskError(error);
      if (extensions.code === 'UNAUTHENTICATED') socket.close(closeCodes.badToken, message);
      else socket.close(closeCodes.tryAgain, 'Try again');
      return false;
    }
    if (extra.viewer === null) socket.close(closeCodes.badToken, noToken);
    if (extra.viewer === null || !socket.isOpen) return false;
    const disconnect = connectionLimit.connect(extra.viewer.userId);
    if (disconnect === null) {
      socket.close(closeCodes.tooManySockets, 'Too many connections of this user');
      return false;
    }
    socket.belongTo(extra.viewer.userId);
    socket.rest(this.#options.userTurns.restMs(extra.viewer.userId));
    const leftMs = extra.viewer.expiresAt.getTime() - Date.now();
    const expire = () => socket.close(closeCodes.badToken, 'The token has expired');
    const expiry = setTimeout(expire, Math.min(Math.max(leftMs, 0), maxTimerMs));
    socket.onClose(() => {
      clearTimeout(expiry);
      disconnect();
    });
    return true;
  }

  /**
   * Passes a message to graphql-ws after the check for floods. Resolves when the operation has ended; an async function would
   * hold the text until then.
   */
  #receive(extra: Extra, text: string, listener: Listener): Promise<void> {
    try {
      const message = readMessage(text);
      if (isOperation(message)) return this.#receiveOperation(extra, message, listener);
      if (!extra.socket.admitIdle()) return Promise.resolve();
      if (isCompletion(message)) this.#noteCompletion(extra, message.id);
      return listener(message);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #receiveOperation(extra: Extra, message: OperationMessage, listener: Listener): Promise<void> {
    const begin = () => this.#begin(extra, message, listener);
    const wait = this.#waitFor(extra, message);
    if (wait === undefined) return begin();
    extra.socket.hold(wait, begin);
    return Promise.resolve();
  }

  /** What the operation has to wait for: the end of an earlier one with its id, or a turn of the event loop with less work. */
  #waitFor({ operations, viewer }: Extra, message: OperationMessage): Promise<void> | undefined {
    const state = operations.get(message.id);
    if (state instanceof Ending) return Promise.race([state.ended, delay(maxEndMs, undefined, { ref: false })]);
    const { slices } = this.#options;
    // Before the connection is acknowledged, graphql-ws refuses every operation without reading its document.
    if (viewer === null || this.#lengthToParse(message) === 0 || !slices.isOver) return undefined;
    return slices.next(viewer.userId);
  }

  #begin({ socket, operations, viewer }: Extra, message: OperationMessage, listener: Listener): Promise<void> {
    socket.grantIdle();
    if (viewer !== null) {
      socket.rest(this.#options.userTurns.count(viewer.userId, this.#lengthToParse(message)));
    }
    if (operations.get(message.id) instanceof Ending) return this.#refuse(socket, message.id);
    return listener(message);
  }

  #noteCompletion({ operations, unanswered }: Extra, id: string): void {
    const state = operations.get(id);
    if (state === undefined) return;
    if (!(state instanceof Ending)) operations.set(id, new Ending());
    unanswered.get(id)?.abort(gone);
  }

  #end({ operations }: Extra, id: string): void {
    const state = operations.get(id);
    operations.delete(id);
    // graphql-ws forgets the operation a moment later.
    if (state instanceof Ending) setImmediate(state.end);
  }

  /** Not left to graphql-ws, which distinguishes operations by their ids alone and would confuse the two. */
  #refuse(socket: ClientSocket, id: string): Promise<void> {
    const error = toFormatted(this.#options.maskError(notEnded()));
    return socket.send(JSON.stringify({ id, type: MessageType.Error, payload: [error] }));
  }

  /** Returns the length of the document in characters; 0 if it is known. */
  #lengthToParse({ payload }: { readonly payload?: unknown }): number {
    const query = (payload as { readonly query?: unknown } | null | undefined)?.query;
    return typeof query !== 'string' || this.#options.engine.isKnown(query) ? 0 : query.length;
  }

  async #prepare(
    { extra, subscriptions }: Connection,
    id: string,
    payload: SubscribePayload,
  ): Promise<ExecutionArgs | readonly GraphQLError[]> {
    const { engine, maxSubscriptions, unread } = this.#options;
    if (this.#isStopping) throw new ChatError('UNAVAILABLE', 'The server restarts; try again');
    if (Object.keys(subscriptions).length > maxSubscriptions + maxOtherOperations) throw tooMany();
    const { viewer, isBehind, cutOff } = extra;
    if (viewer !== null && unread.isFull(viewer.userId)) throw tooMuchUnread();
    const { operationName, variables } = payload;
    const text = engine.findText(payload);
    // The payload is kept for the life of the operation, but nothing reads it any more.
    Object.assign(payload, { query: '', variables: undefined, documentId: undefined, extensions: undefined });
    assertModest(variables);
    const document = engine.read(text, (ms) => this.#noteReading(extra, ms));
    if (!('kind' in document)) return document;
    const operation = getOperationAST(document, operationName);
    if (operation == null) throw new ChatError('BAD_USER_INPUT', 'operationName names no operation of the document');
    if (operation.operation === OperationTypeNode.SUBSCRIPTION) {
      // A subscription that its client has completed may end a moment later; it does not count any more.
      const open = [...extra.operations.values()].filter((state) => state === OperationTypeNode.SUBSCRIPTION);
      if (open.length >= maxSubscriptions) throw tooMany();
    }
    const { schema } = engine;
    const variableValues = declaredVariables(operation, variables);
    const isMutation = operation.operation === OperationTypeNode.MUTATION;
    // After all checks that may refuse it: from here on the operation is executed, and leaves its turns at its end.
    const turns = isMutation
      ? this.#turnsOf(extra).arrive(findMutationInputs(document, operation, variableValues))
      : undefined;
    const contextValue = engine.createContext({ viewer, isBehind, cutOff, turns });
    const rootValue: Operation = { extra, id };
    extra.operations.set(id, operation.operation);
    return { schema, document, operationName, variableValues, contextValue, rootValue };
  }

  /** Charges the user for reading a document, and pauses the socket if the user has used up the allowance. */
  #noteReading(extra: Extra, ms: number): void {
    const { userTurns } = this.#options;
    userTurns.chargeReading(userOf(extra), ms);
    extra.socket.rest(userTurns.restMs(userOf(extra)));
  }

  #turnsOf(extra: Extra): RoomTurns {
    extra.turns ??= new RoomTurns(this.#options.findRoomOfMessage);
    return extra.turns;
  }

  async #subscribe(args: ExecutionArgs): Promise<ExecutionResult | AsyncIterableIterator<never>> {
    const { subscribe, print } = this.#options;
    const { extra, id } = takeOperation(args);
    const results = await subscribe(args);
    if (!(Symbol.asyncIterator in results)) return this.#mask(results);
    return new ResultSender(results, (result) => extra.socket.push(nextFrameOf(result, id, print)));
  }

  /** Runs a few queries of a socket at a time, and none while answers wait to be read, because they can be large. */
  async #execute(args: ExecutionArgs) {
    const { extra, id } = takeOperation(args);
    const { socket, unanswered } = extra;
    const query = new AbortController();
    const asker: Asker = { user: userOf(extra), signal: () => query.signal };
    const run = async () => this.#finish(extra, id, await this.#options.userTurns.execute(args, asker));
    const isQuery = getOperationAST(args.document, args.operationName)?.operation === OperationTypeNode.QUERY;
    this.#underWay += 1;
    try {
      if (!isQuery) return await run();
      unanswered.set(id, query);
      extra.queries ??= pLimit(maxQueriesAtOnce);
      return await extra.queries(() => socket.drained().then(run));
    } finally {
      if (unanswered.get(id) === query) unanswered.delete(id);
      (args.contextValue as RequestContext).turns?.leave();
      this.#underWay -= 1;
    }
  }

  #finish({ socket }: Extra, id: string, { result, printed }: Answer): ExecutionResult | AsyncIterable<never> {
    return printed === undefined ? this.#mask(result) : whenIterated(() => socket.sendPieces(toNextFrame(printed, id)));
  }

  #mask(result: ExecutionResult): ExecutionResult {
    const { maskError } = this.#options;
    return result.errors === undefined ? result : { ...result, errors: result.errors.map(maskError) };
  }
}

/** Yields nothing itself, so that graphql-ws still completes the operation, or ignores it if its client has left. */
const whenIterated = (send: () => Promise<void>): AsyncIterable<never> => ({
  [Symbol.asyncIterator]: () => ({
    next: async () => {
      await send();
      return { done: true, value: undefined };
    },
  }),
});

/** The connection and id of an operation, passed in its root value until it begins. */
interface Operation {
  readonly extra: Extra;
  readonly id: string;
}
/** Removes the root value, because the arguments are kept for the life of a subscription. */
function takeOperation(args: ExecutionArgs): Operation {
  const operation = args.rootValue as Operation;
  args.rootValue = undefined;
  return operation;
}

interface OperationMessage {
  readonly id: string;
  readonly payload?: unknown;
}

const isOperation = (message: unknown): message is OperationMessage =>
  typeof message === 'object' && message !== null && 'type' in message && message.type === 'subscribe';

const isCompletion = (message: unknown): message is { readonly id: string } =>
  typeof message === 'object' &&
  message !== null &&
  'type' in message &&
  message.type === 'complete' &&
  'id' in message &&
  typeof message.id === 'string';

/** The viewer is set, because operations need a valid token. */
const userOf = ({ viewer }: Extra): number => viewer?.userId ?? 0;

/** A close reason has 123 bytes at most. */
const noToken =
  'No token: connection_init needs the payload { "authorization": "Bearer ..." }, or the upgrade a header';

/** Ignores letter case, as HTTP does for header names: some clients pass their headers on in connection_init. */
function findAuthorization(params: Params): string | undefined {
  const entry = Object.entries(params ?? {}).find(([name]) => name.toLowerCase() === 'authorization');
  return typeof entry?.[1] === 'string' ? entry[1] : undefined;
}

const notEnded = () =>
  new ChatError('RATE_LIMITED', 'The operation that had this id has not ended yet', { retryAfterMs: 1_000 });
const tooMany = () => new ChatError('RATE_LIMITED', 'Too many operations on this socket', { retryAfterMs: 1_000 });
