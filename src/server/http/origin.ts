import type { IncomingMessage } from 'node:http';
import { normalizeOrigin } from '../../domain/origin.js';
import { isLoopback, nameOf } from './hosts.js';

/** Whether the origin of a request is allowed: none, as without a browser, the same origin, or one on the list. */
export type IsAllowedOrigin = (request: Pick<IncomingMessage, 'headers'>) => boolean;

export interface OriginOptions {
  /** Normalized. */
  readonly allowed: readonly string[];
  /** Allows pages of other servers on this machine with any port, such as a web client's development server. */
  readonly loopback: boolean;
}

/** Compares only the host to detect the same origin: behind a proxy with TLS, the scheme here is not the browser's. */
export function createOriginCheck(options: OriginOptions): IsAllowedOrigin {
  const allowed = new Set(options.allowed);
  return ({ headers: { origin: given, host } }) => {
    if (given === undefined) return true;
    const origin = normalizeOrigin(given);
    if (origin === null) return false;
    if (allowed.has(origin)) return true;
    const [scheme, authority = ''] = origin.split('://', 2);
    if (scheme !== 'http' && scheme !== 'https') return false;
    // With the origin's scheme, because the host may contain its default port or not.
    if (host !== undefined && normalizeOrigin(`${scheme}://${host}`) === origin) return true;
    return options.loopback && isLoopback(nameOf(authority));
  };
}

const corsMaxAgeSeconds = 600;

/**
 * Returns the headers that let an allowed origin read the response. No credentials: tokens are sent in a header, never in a
 * cookie.
 */
export function corsHeaders({ headers, method }: IncomingMessage): Record<string, string> {
  if (headers.origin === undefined) return {};
  const shared = {
    'access-control-allow-origin': headers.origin,
    'access-control-expose-headers': 'x-request-id, retry-after, content-range, etag',
    vary: 'origin',
  };
  if (method !== 'OPTIONS') return shared;
  return {
    ...shared,
    'access-control-allow-methods': 'GET, POST, PUT, OPTIONS',
    'access-control-allow-headers': headers['access-control-request-headers'] ?? 'authorization, content-type',
    'access-control-max-age': String(corsMaxAgeSeconds),
  };
}
