import type { IncomingMessage } from 'node:http';
import { normalizeOrigin } from '../../domain/origin.js';
import { isLoopback, nameOf } from './hosts.js';

/** Whether a request may come from where it comes from: no browser, the same origin, or an origin on the list. */
export type IsAllowedOrigin = (request: Pick<IncomingMessage, 'headers'>) => boolean;

export interface OriginOptions {
  /** Normalized. */
  readonly allowed: readonly string[];
  /** Pages of other servers on this machine, whatever their port: a web client's development server, say. */
  readonly loopback: boolean;
}

/** The same origin is told by the host alone: behind a proxy that speaks TLS the scheme here is not the browser's. */
export function createOriginCheck(options: OriginOptions): IsAllowedOrigin {
  const allowed = new Set(options.allowed);
  return ({ headers: { origin: given, host } }) => {
    if (given === undefined) return true;
    const origin = normalizeOrigin(given);
    if (origin === null) return false;
    if (allowed.has(origin)) return true;
    const [scheme, authority = ''] = origin.split('://', 2);
    if (scheme !== 'http' && scheme !== 'https') return false;
    // By the origin's scheme, whose default port the host may name or leave out.
    if (host !== undefined && normalizeOrigin(`${scheme}://${host}`) === origin) return true;
    return options.loopback && isLoopback(nameOf(authority));
  };
}

const corsMaxAgeSeconds = 600;

/** The headers that let an allowed origin read the answer. No credentials: tokens travel in a header, never in a cookie. */
export function corsHeaders({ headers, method }: IncomingMessage): Record<string, string> {
  if (headers.origin === undefined) return {};
  const shared = {
    'access-control-allow-origin': headers.origin,
    'access-control-expose-headers': 'x-request-id, retry-after',
    vary: 'origin',
  };
  if (method !== 'OPTIONS') return shared;
  return {
    ...shared,
    'access-control-allow-methods': 'GET, POST, OPTIONS',
    'access-control-allow-headers': headers['access-control-request-headers'] ?? 'authorization, content-type',
    'access-control-max-age': String(corsMaxAgeSeconds),
  };
}
