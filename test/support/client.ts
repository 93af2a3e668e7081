import { setTimeout as delay } from 'node:timers/promises';
import { type Client, type CloseCode, createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { signToken } from '../../src/auth/sign-token.js';
import type {
  RoomEventsSubscription,
  RoomEventsSubscriptionVariables,
  TypedDocumentString,
} from '../e2e/generated/graphql.js';
import { testSecret } from './instance.js';
import { createRoom, roomEvents, sendMessage } from './operations.js';
import { patienceMs, waitFor } from './wait-for.js';

export type RoomEvent = RoomEventsSubscription['roomEvents'];

/** A GraphQL error as a client sees it. */
export class ApiError extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly extensions: Record<string, unknown> = {},
  ) {
    super(`${code}: ${message}`);
  }
}

export const names: Readonly<Record<number, string>> = { 4: '김철수', 5: '이영희', 6: '박영희', 7: '최민수' };

export const tokenFor = (userId: number): Promise<string> =>
  signToken(testSecret, { userId, name: names[userId] ?? `user ${userId}` });

interface Answer {
  readonly data?: unknown;
  readonly errors?: readonly { readonly message: string; readonly extensions?: Record<string, unknown> }[];
}

const isDeliveredLate = (error: unknown): error is ApiError =>
  error instanceof ApiError && error.code === 'RATE_LIMITED' && error.message.includes('delivered late');

function unwrap<Result>({ data, errors }: Answer): Result {
  const [error] = errors ?? [];
  if (error !== undefined) {
    throw new ApiError(String(error.extensions?.code), error.message, error.extensions);
  }
  return data as Result;
}

/** The events of a subscription so far, and its end. */
export class Feed<Event> {
  readonly events: Event[] = [];
  /** The time of each event, by `performance.now()`. */
  readonly times: number[] = [];
  error: ApiError | undefined;
  isEnded = false;
  stop: () => void = () => undefined;

  accept(event: Event): void {
    this.events.push(event);
    this.times.push(performance.now());
  }

  /** Resolves with the events once they meet the condition. */
  async until(
    condition: (events: readonly Event[]) => boolean,
    what: string,
    timeoutMs = patienceMs,
  ): Promise<Event[]> {
    await waitFor(
      () => {
        if (this.error !== undefined && !condition(this.events)) throw this.error;
        return condition(this.events);
      },
      { what, timeoutMs },
    );
    return this.events;
  }

  count(count: number): Promise<Event[]> {
    return this.until((events) => events.length >= count, `${count} events`);
  }

  /** Resolves with the error that ended it, or undefined if it completed without one. */
  async ended(timeoutMs = patienceMs): Promise<ApiError | undefined> {
    await waitFor(() => this.isEnded, { what: 'the end of the subscription', timeoutMs });
    return this.error;
  }
}

/** One user at one server instance, with an HTTP and a WebSocket connection. */
export class TestClient {
  readonly userId: number;
  readonly token: string;
  readonly socket: Client;
  /** Whether it sends a message again that was refused because the instance delivers late. */
  isPatient = true;
  readonly #url: string;
  #connection: WebSocket | undefined;

  private constructor(url: string, userId: number, token: string) {
    this.#url = `${url}/graphql`;
    this.userId = userId;
    this.token = token;
    this.socket = createClient({
      url: this.#url.replace('http', 'ws'),
      webSocketImpl: WebSocket,
      connectionParams: { authorization: `Bearer ${token}` },
      retryAttempts: 0,
      // Consecutive operations share a connection.
      lazyCloseTimeout: 10_000,
      on: {
        opened: (connection) => {
          this.#connection = connection as WebSocket;
        },
      },
      onNonLazyError: () => undefined,
    });
  }

  static async create({ url }: { url: string }, userId: number, token?: string): Promise<TestClient> {
    return new TestClient(url, userId, token ?? (await tokenFor(userId)));
  }

  /** @throws {ApiError} the first error of the answer */
  async http<Result, Variables>(
    document: TypedDocumentString<Result, Variables>,
    variables: Variables,
  ): Promise<Result> {
    const response = await fetch(this.#url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${this.token}` },
      body: JSON.stringify({ query: document.toString(), variables }),
    });
    return unwrap((await response.json()) as Answer);
  }

  /** @throws {ApiError} the first error of the answer */
  ws<Result, Variables>(document: TypedDocumentString<Result, Variables>, variables: Variables): Promise<Result> {
    return new Promise((resolve, reject) => {
      let answer: Answer | undefined;
      this.socket.subscribe(
        { query: document.toString(), variables: variables as Record<string, unknown> },
        {
          next: (value) => {
            answer = value as Answer;
          },
          error: (error) => reject(toApiError(error)),
          complete: () => {
            try {
              resolve(unwrap(answer ?? {}));
            } catch (error) {
              reject(error);
            }
          },
        },
      );
    });
  }

  subscribe<Result, Variables>(document: TypedDocumentString<Result, Variables>, variables: Variables): Feed<Result> {
    const feed = new Feed<Result>();
    feed.stop = this.socket.subscribe(
      { query: document.toString(), variables: variables as Record<string, unknown> },
      {
        next: (value) => {
          const { data, errors } = value as Answer;
          if (errors !== undefined) feed.error = toApiError(errors);
          else feed.accept(data as Result);
        },
        error: (error) => {
          feed.error = toApiError(error);
          feed.isEnded = true;
        },
        complete: () => {
          feed.isEnded = true;
        },
      },
    );
    return feed;
  }

  /** The room's events over WebSocket, unwrapped from the field. */
  roomEvents(variables: RoomEventsSubscriptionVariables): Feed<RoomEvent> {
    const feed = new Feed<RoomEvent>();
    const inner = this.subscribe(roomEvents, variables);
    inner.accept = ({ roomEvents: event }) => feed.accept(event);
    feed.stop = inner.stop;
    Object.defineProperty(feed, 'error', { get: () => inner.error });
    Object.defineProperty(feed, 'isEnded', { get: () => inner.isEnded });
    return feed;
  }

  /** The same over SSE. */
  roomEventsOverSse(variables: RoomEventsSubscriptionVariables): Feed<RoomEvent> {
    const feed = new Feed<RoomEvent>();
    const abort = new AbortController();
    feed.stop = () => abort.abort();
    void this.#readSse(variables, feed, abort.signal).catch(() => {
      feed.isEnded = true;
    });
    return feed;
  }

  async direct(otherId: number): Promise<string> {
    const { createRoom: made } = await this.http(createRoom, {
      input: { type: 'DIRECT', participantIds: [String(otherId)] },
    });
    return made.room.id;
  }

  async group(...otherIds: number[]): Promise<string> {
    const { createRoom: made } = await this.http(createRoom, {
      input: { type: 'GROUP', participantIds: otherIds.map(String) },
    });
    return made.room.id;
  }

  async send(roomId: string, content: string, id?: string) {
    const input = { roomId, content, ...(id ? { id } : {}) };
    const { sendMessage: sent } = await this.#patiently(() => this.http(sendMessage, { input }));
    return sent;
  }

  async sendOverWs(roomId: string, content: string, id?: string) {
    const input = { roomId, content, ...(id ? { id } : {}) };
    const { sendMessage: sent } = await this.#patiently(() => this.ws(sendMessage, { input }));
    return sent;
  }

  /** Tries again, as applications do, while the instance delivers late: on a busy machine that can happen to every test. */
  async #patiently<Result>(send: () => Promise<Result>): Promise<Result> {
    for (;;) {
      try {
        return await send();
      } catch (error) {
        if (!this.isPatient || !isDeliveredLate(error)) throw error;
        await delay(Number(error.extensions.retryAfterMs));
      }
    }
  }

  /** Cuts the WebSocket without a closing handshake, as a broken network does. The next operation opens a new one. */
  async cutOff(): Promise<void> {
    const connection = await waitFor(
      () => (this.#connection?.readyState === WebSocket.OPEN ? this.#connection : undefined),
      { what: 'a connection to cut', pollMs: 1 },
    );
    connection.terminate();
  }

  async close(): Promise<void> {
    await this.socket.dispose();
  }

  async #readSse(variables: RoomEventsSubscriptionVariables, feed: Feed<RoomEvent>, signal: AbortSignal) {
    const response = await fetch(this.#url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'text/event-stream',
        authorization: `Bearer ${this.token}`,
      },
      body: JSON.stringify({ query: roomEvents.toString(), variables }),
      signal,
    });
    let rest = '';
    for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      rest += chunk;
      const blocks = rest.split('\n\n');
      rest = blocks.pop() ?? '';
      for (const block of blocks) acceptSseBlock(block, feed);
    }
    feed.isEnded = true;
  }
}

function acceptSseBlock(block: string, feed: Feed<RoomEvent>): void {
  const data = /^data: ?(.+)$/m.exec(block)?.[1];
  if (data === undefined || !/^event: ?next$/m.test(block)) return;
  const { data: result, errors } = JSON.parse(data) as Answer;
  if (errors !== undefined) feed.error = toApiError(errors);
  else feed.accept((result as RoomEventsSubscription).roomEvents);
}

/** An error of graphql-ws is either the server's errors or the close event of the socket. */
function toApiError(error: unknown): ApiError {
  if (Array.isArray(error)) {
    const [first] = error as { message: string; extensions?: Record<string, unknown> }[];
    return new ApiError(String(first?.extensions?.code), first?.message ?? '', first?.extensions);
  }
  const { code, reason } = error as { code?: CloseCode; reason?: string };
  return new ApiError(String(code), reason ?? String(error));
}
