import type { IncomingMessage } from 'node:http';

/**
 * Reads a target that contains the host, as clients write it for a proxy: that host replaces the header's (RFC 9112, 3.2.2).
 */
export function readTarget(request: IncomingMessage): void {
  const { url = '/' } = request;
  if (!/^https?:\/\//i.test(url) || !URL.canParse(url)) return;
  const { host, pathname, search } = new URL(url);
  request.headers.host = host;
  request.url = pathname + search;
}

/** Returns the path without the query. One slash at the end is removed. */
export function pathOf({ url = '/' }: IncomingMessage): string {
  const path = url.split('?', 1)[0] ?? '/';
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;
}

/** Returns the query with its question mark; an empty text if there is none. */
export const queryOf = ({ url = '/' }: IncomingMessage): string =>
  url.includes('?') ? url.slice(url.indexOf('?')) : '';
