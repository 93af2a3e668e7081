import type { ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { ErrorCode } from '../../domain/errors.js';
import { statuses } from '../graphql/statuses.js';
import { type JsonType, refusalType } from './negotiation.js';

export interface Refusal {
  readonly code: ErrorCode;
  readonly message: string;
  /** Replaces the status of the code. */
  readonly status?: number;
  readonly extensions?: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string>>;
}

export function sendJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  type: JsonType = 'application/json',
): void {
  response.writeHead(status, { 'content-type': `${type}; charset=utf-8`, 'cache-control': 'no-store' });
  response.end(JSON.stringify(body));
}

/**
 * Refuses the whole request with a GraphQL response of the type that the client accepts. Closes the connection if a response
 * has begun already.
 */
export function refuse(
  response: ServerResponse,
  { code, message, status = statuses[code], extensions, headers = {} }: Refusal,
): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  const retryAfterMs = extensions?.retryAfterMs;
  if (typeof retryAfterMs === 'number') response.setHeader('retry-after', Math.ceil(retryAfterMs / 1_000));
  const body = { errors: [{ message, extensions: { ...extensions, code } }] };
  sendJson(response, status, body, refusalType(response.req.headers.accept));
}

/** Refuses a request on a socket without a response object, and closes the socket even if the peer keeps its side open. */
export function refuseSocket(socket: Duplex, status: string): void {
  socket.once('finish', () => socket.destroy());
  if (socket.writable) socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
  else socket.destroy();
}
