import type { IncomingMessage } from 'node:http';

/** Whether a request may come from where it comes from: no browser, the same origin, or an origin on the list. */
export type IsAllowedOrigin = (request: IncomingMessage) => boolean;

/** The same origin is told by the host alone: behind a proxy that speaks TLS the scheme here is not the browser's. */
export function createOriginCheck(allowedOrigins: readonly string[]): IsAllowedOrigin {
  const allowed = new Set(allowedOrigins);
  return ({ headers: { origin, host } }) => {
    if (origin === undefined || allowed.has(origin)) return true;
    return host !== undefined && URL.canParse(origin) && new URL(origin).host === host.toLowerCase();
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
