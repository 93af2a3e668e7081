import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ExecutionArgs, ExecutionResult } from 'graphql';
import type { Slices } from '../../domain/slices.js';
import type { Viewer } from '../../domain/viewer.js';
import type { Authenticate } from '../graphql/context.js';
import type { GraphqlEngine, TransportContext } from '../graphql/engine.js';
import { isExcessive } from '../graphql/excessive-json.js';
import type { ConnectionLimit } from '../graphql/limits/connection-limit.js';
import { type Printed, toPrinted } from '../graphql/limits/large-answers.js';
import { type Recipient, tooMuchUnread, type UnreadAnswers } from '../graphql/limits/unread-answers.js';
import type { Asker, UserTurns } from '../graphql/limits/user-turns.js';
import { limitAnswer, type PrintResult } from '../graphql/print.js';
import type { Results, Subscribe } from '../graphql/subscribe.js';
import { tooManyVariables } from '../graphql/variables.js';
import { type Refusal, refuse } from './answers.js';
import { readText, sendResults } from './body.js';
import { type AnswerType, type JsonType, negotiate, type Wanted } from './negotiation.js';
import type { Route } from './router.js';
import { noWrap, type StreamFormat, sseWrap, streamFormats, type Wrap } from './stream-formats.js';
import { StreamLives } from './stream-lives.js';
import { queryOf } from './target.js';

export interface GraphqlOverHttpOptions {
  readonly engine: GraphqlEngine;
  readonly subscribe: Subscribe;
  readonly userTurns: UserTurns;
  readonly authenticate: Authenticate;
  readonly print: PrintResult;
  readonly connectionLimit: ConnectionLimit;
  readonly slices: Slices;
  readonly maxBodyBytes: number;
  readonly maxAnswerBytes: number;
  readonly unread: UnreadAnswers;
  readonly maxStreamMs: number;
}

/** The path of operations, and of the upgrade to a WebSocket. */
export const graphqlPath = '/graphql';

export const graphqlRoutes = (graphql: GraphqlOverHttp): Route[] => [
  // Without HEAD, which would execute the query of a GET.
  { methods: ['GET', 'POST'], path: graphqlPath, handler: (request, response) => graphql.serve(request, response) },
];

/** Serves operations over HTTP, and subscriptions over SSE or Apollo's multipart protocol. */
export class GraphqlOverHttp {
  readonly #options: GraphqlOverHttpOptions;
  readonly #streams = new Set<ServerResponse>();
  readonly #lives: StreamLives;

  constructor(options: GraphqlOverHttpOptions) {
    this.#options = options;
    this.#lives = new StreamLives(options.maxStreamMs);
  }

  /** The number of open subscription streams. */
  get streamCount(): number {
    return this.#streams.size;
  }

  isStream(response: ServerResponse): boolean {
    return this.#streams.has(response);
  }

  /** Closes all streams without completing them: a completed stream means to the client that there are no more events. */
  cutStreams(): void {
    for (const stream of this.#streams) stream.destroy();
  }

  /** Resolves once the response is written or, if it is a stream, has begun. */
  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { authenticate, engine, userTurns, slices, maxBodyBytes, maxAnswerBytes, unread } = this.#options;
    const { method = 'GET' } = request;
    const wanted = negotiate(request.headers.accept);
    if (wanted === null) return refuse(response, notAcceptable);
    if (method === 'POST' && !isJson(request)) {
      return refuse(response, { code: 'BAD_USER_INPUT', message: 'The body must be application/json', status: 415 });
    }
    const body = method === 'POST' ? await readText(request, maxBodyBytes) : undefined;
    if (typeof body === 'object') return refuseBody(request, response, body);

    const viewer = await authenticate(request.headers.authorization);
    const recipient: Recipient = viewer?.userId ?? request.socket.remoteAddress ?? '';
    if (unread.isFull(recipient)) throw tooMuchUnread();
    const opening: Opening = {};
    const asker: Asker = { user: recipient, signal: () => closeSignal(response) };
    await userTurns.admit(asker, (body ?? queryOf(request)).length);
    if (body !== undefined && isExcessive(body)) throw tooManyVariables();
    const answer = await engine.yoga.fetch(
      `http://localhost/graphql${queryOf(request)}`,
      {
        method,
        headers: { 'content-type': 'application/json', accept: jsonTypeOf(wanted.answer) },
        ...(body === undefined ? {} : { body }),
      },
      {
        viewer,
        isBehind: () => response.writableNeedDrain,
        cutOff: () => response.destroy(),
        // Reading a new document takes long.
        waitToRead: () => (slices.isOver ? slices.next(recipient) : undefined),
        noteReading: (ms) => userTurns.chargeReading(recipient, ms),
        execute: async (args) => {
          const { result, printed } = await userTurns.execute(args, asker);
          opening.printed = printed;
          return result;
        },
        subscribe: (args) => this.#open(args, opening, { viewer, wanted }),
      },
    );
    const { refusal, results, printed } = opening;
    if (refusal !== undefined) return refuse(response, refusal);
    if (results !== undefined && wanted.stream !== null && viewer !== null) {
      return this.#stream(results, { viewer, response, format: streamFormats[wanted.stream] });
    }
    const wrap = begin(response, wanted.answer, answer);
    if (printed !== undefined)
      return unread.send(response, recipient, toPrinted(wrap.before, ...printed.pieces, wrap.after));
    const text = await answer.text();
    userTurns.chargeAnswer(recipient, text);
    return unread.send(response, recipient, `${wrap.before}${limitAnswer(text, maxAnswerBytes)}${wrap.after}`);
  }

  /**
   * Subscribes if the client accepts a stream, has a token, and its user may have another connection. The results do not
   * pass through yoga, which would copy and print each of them for each subscriber.
   */
  async #open(args: ExecutionArgs, opening: Opening, { viewer, wanted }: Asking): Promise<ExecutionResult> {
    const { engine, connectionLimit, subscribe } = this.#options;
    if (wanted.stream === null) opening.refusal = noStream;
    else if (viewer === null) opening.refusal = noToken;
    else if (viewer.expiresAt.getTime() <= Date.now()) opening.refusal = expired;
    else if (connectionLimit.isReached(viewer.userId)) opening.refusal = tooManyConnections;
    else {
      // A new context, so that yoga's objects for the request are not kept for the life of the subscription.
      const contextValue = engine.createContext(args.contextValue as TransportContext);
      const results = await subscribe({ ...args, contextValue });
      if (!(Symbol.asyncIterator in results)) return results;
      opening.results = results;
    }
    return {};
  }

  /**
   * A stream is a connection of its user, as a socket is. It ends when the token that opened it expires, or when its peer
   * has vanished.
   */
  async #stream(results: Results, { viewer, response, format }: Streaming): Promise<void> {
    const { connectionLimit, print } = this.#options;
    // The user may have reached the limit meanwhile, or the client has gone.
    const disconnect = response.destroyed ? null : connectionLimit.connect(viewer.userId);
    if (disconnect === null) {
      await results.return?.();
      return refuse(response, tooManyConnections);
    }
    const expiry = setTimeout(() => response.destroy(), Math.max(0, viewer.expiresAt.getTime() - Date.now()));
    this.#streams.add(response);
    this.#lives.begin(response);
    response.once('close', () => {
      clearTimeout(expiry);
      disconnect();
      this.#streams.delete(response);
    });
    sendResults(results, response, { format, print }).catch(() => response.destroy());
  }
}

/** What does not pass through yoga: a large answer, and the outcome of a request for a subscription. */
interface Opening {
  printed?: Printed | undefined;
  results?: Results;
  refusal?: Refusal;
}

interface Asking {
  readonly viewer: Viewer | null;
  readonly wanted: Wanted;
}

interface Streaming {
  readonly viewer: Viewer;
  readonly response: ServerResponse;
  readonly format: StreamFormat;
}

const notAcceptable: Refusal = {
  code: 'BAD_USER_INPUT',
  message: 'Accept must allow application/graphql-response+json or application/json',
  status: 406,
};

const noStream: Refusal = {
  code: 'BAD_USER_INPUT',
  message: 'A subscription needs Accept: text/event-stream, or multipart/mixed;subscriptionSpec=1.0, or a WebSocket',
  status: 406,
};

/** A single operation has a tolerance for clocks that differ; a stream ends with its token, so it would end at once. */
const expired: Refusal = { code: 'UNAUTHENTICATED', message: 'The token has expired' };

const noToken: Refusal = { code: 'UNAUTHENTICATED', message: 'A token is needed: Authorization: Bearer ...' };

const tooManyConnections: Refusal = {
  code: 'RATE_LIMITED',
  message: 'Too many connections of this user',
  extensions: { retryAfterMs: 1_000 },
};

const jsonTypeOf = (type: AnswerType): JsonType => (type === 'text/event-stream' ? 'application/json' : type);

/** Sets the status and headers of a response, and returns what the format of the type has around the answer. */
function begin(response: ServerResponse, type: AnswerType, answer: Response): Wrap {
  for (const [name, value] of answer.headers) {
    // The length of yoga's text, which may have been replaced: node sets the length itself.
    if (name !== 'content-length') response.setHeader(name, value);
  }
  const isSse = type === 'text/event-stream' && answer.ok;
  if (isSse) response.setHeader('content-type', streamFormats.sse.contentType);
  response.setHeader('cache-control', 'no-store');
  response.statusCode = answer.status;
  return isSse ? sseWrap : noWrap;
}

/** Without a given reason, each abort creates an exception with a stack, which costs more than a small query. */
const gone = 'The client has gone';

/** Aborts when the connection closes before the response is written. */
function closeSignal(response: ServerResponse): AbortSignal {
  const closing = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) closing.abort(gone);
  });
  if (response.destroyed) closing.abort(gone);
  return closing.signal;
}

const isJson = ({ headers }: IncomingMessage): boolean =>
  /^application\/(graphql\+)?json *(;|$)/i.test(headers['content-type'] ?? '');

function refuseBody(request: IncomingMessage, response: ServerResponse, refusal: Refusal): void {
  refuse(response, refusal);
  // Reads and ignores the rest of the body, which keeps the connection open: a client that is cut off while it writes would
  // never see the response. The request's timeout limits this.
  request.resume();
}
