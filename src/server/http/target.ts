import type { IncomingMessage } from 'node:http';

/**
 * Understands a target that names its host too, as a client writes it that takes this server for a proxy: that host counts,
 * not the header's (RFC 9112, 3.2.2).
 */
export function readTarget(request: IncomingMessage): void {
  const { url = '/' } = request;
  if (!/^https?:\/\//i.test(url) || !URL.canParse(url)) return;
  const { host, pathname, search } = new URL(url);
  request.headers.host = host;
  request.url = pathname + search;
}

/** Without the query. One slash at the end means the same path. */
export function pathOf({ url = '/' }: IncomingMessage): string {
  const path = url.split('?', 1)[0] ?? '/';
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;
}

/** With its question mark; empty where there is none. */
export const queryOf = ({ url = '/' }: IncomingMessage): string =>
  url.includes('?') ? url.slice(url.indexOf('?')) : '';
