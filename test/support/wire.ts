import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { WebSocket } from 'ws';
import { patienceMs, waitFor } from './wait-for.js';

/** An instance, or another server at that address. */
interface Address {
  /** `http://127.0.0.1:port`, without a path. */
  readonly url: string;
}

export interface Operation {
  readonly query?: string;
  readonly documentId?: unknown;
  readonly variables?: unknown;
  readonly operationName?: string;
  readonly extensions?: unknown;
}

export interface WireError {
  readonly message: string;
  readonly extensions: { readonly code: string; readonly [name: string]: unknown };
}

/** One raw answer, not processed by a client. */
export interface Answer {
  readonly data?: Record<string, unknown> | null;
  readonly errors?: readonly WireError[];
  readonly text: string;
}

export type HttpAnswer = Answer & { readonly status: number; readonly headers: Headers };

/** Posts a body of any kind to /graphql. */
export async function postBody(
  { url }: Address,
  body: NonNullable<RequestInit['body']>,
  headers: Record<string, string> = {},
  signal?: AbortSignal,
): Promise<HttpAnswer> {
  const duplex = body instanceof ReadableStream ? { duplex: 'half' as const } : {};
  return readAnswer(
    await fetch(`${url}/graphql`, { method: 'POST', body, headers, signal: signal ?? null, ...duplex }),
  );
}

export const postOperation = (
  address: Address,
  operation: Operation,
  headers: Record<string, string> = {},
  signal?: AbortSignal,
): Promise<HttpAnswer> =>
  postBody(address, JSON.stringify(operation), { 'content-type': 'application/json', ...headers }, signal);

export async function readAnswer(response: Response): Promise<HttpAnswer> {
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.includes('json') === true;
  return { ...(isJson ? (JSON.parse(text) as Answer) : {}), text, status: response.status, headers: response.headers };
}

export interface ServerMessage {
  readonly type: string;
  readonly id?: string;
  readonly payload?: unknown;
}

/** A raw socket of graphql-transport-ws, for messages that no well-behaved client sends. */
export class RawSocket {
  readonly ws: WebSocket;
  readonly messages: ServerMessage[] = [];
  /** The close code and reason that this side saw; 1006 if the connection was cut. */
  closed: { readonly code: number; readonly reason: string } | undefined;
  /** The HTTP status of a refused upgrade. */
  refusal: number | undefined;

  constructor({ url }: Address, headers: Record<string, string> = {}) {
    this.ws = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', {
      headers,
      perMessageDeflate: false,
    });
    this.ws.on('message', (data) => this.messages.push(JSON.parse(String(data)) as ServerMessage));
    this.ws.on('close', (code, reason) => {
      this.closed = { code, reason: String(reason) };
    });
    this.ws.on('unexpected-response', (_request, response: IncomingMessage) => {
      this.refusal = response.statusCode;
      this.ws.terminate();
    });
    this.ws.on('error', () => undefined);
  }

  /** Opens a socket; resolves once the server has accepted its token. */
  static async connect(address: Address, token: string): Promise<RawSocket> {
    const socket = new RawSocket(address);
    await socket.init({ authorization: `Bearer ${token}` });
    await socket.until(({ type }) => type === 'connection_ack', 'the acknowledgement of the connection');
    return socket;
  }

  async opened(): Promise<void> {
    if (this.ws.readyState === WebSocket.CONNECTING) await once(this.ws, 'open');
  }

  async init(payload?: unknown): Promise<void> {
    await this.opened();
    this.send({ type: 'connection_init', payload });
  }

  send(message: ServerMessage): void {
    this.ws.send(JSON.stringify(message));
  }

  subscribe(id: string, operation: Operation): void {
    this.send({ id, type: 'subscribe', payload: operation });
  }

  /** Resolves with the only answer of a query, a mutation, or a refused subscription. */
  async ask(operation: Operation, id = `ask-${this.messages.length}`): Promise<Answer> {
    this.subscribe(id, operation);
    const message = await this.until(
      (message) => message.id === id && (message.type === 'next' || message.type === 'error'),
      'the answer',
    );
    const text = JSON.stringify(message);
    if (message.type === 'error') return { errors: message.payload as WireError[], text };
    return { ...(message.payload as Answer), text };
  }

  /** @throws {Error} if the message did not arrive, also if the socket was closed */
  async until(condition: (message: ServerMessage) => boolean, what: string, timeoutMs = patienceMs) {
    const closing = () => {
      throw new Error(`The socket was closed with ${JSON.stringify(this.closed)} before ${what}`);
    };
    const found = await waitFor(() => this.messages.find(condition) ?? this.closed, { what, timeoutMs });
    return 'type' in found ? found : closing();
  }

  /** Resolves with the close code. */
  async closeCode(timeoutMs = patienceMs): Promise<number> {
    const { code } = await waitFor(() => this.closed, { what: 'the end of the socket', timeoutMs });
    return code;
  }
}
