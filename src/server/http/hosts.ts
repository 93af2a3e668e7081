import { isIP } from 'node:net';

/** Returns the host name of a `Host` header, or of an origin without its scheme: in lower case and without the port. */
export function nameOf(host: string): string | null {
  const url = `http://${host}`;
  return URL.canParse(url) ? new URL(url).hostname : null;
}

/** Whether the name is `localhost` or a loopback address, so that a page from there is from this machine. */
export const isLoopback = (name: string | null): boolean =>
  name !== null && /^(localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])$/.test(name);

/**
 * Whether data that is only for this machine or network may be served under this name. A page of another site can make its
 * own name resolve to any address and read the responses as its own (DNS rebinding). That is impossible for an address, for
 * `localhost`, and for the name on which this server listens.
 */
export function isOwnName(host: string | undefined, configured: string): boolean {
  const name = nameOf(host ?? '');
  if (name === null) return false;
  return isLoopback(name) || isIP(name.replace(/^\[|\]$/g, '')) !== 0 || name === configured.toLowerCase();
}
