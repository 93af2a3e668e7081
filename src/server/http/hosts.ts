import { isIP } from 'node:net';

/** The name in a `Host` header, or in an origin behind its scheme: without the port, in small letters. */
export function nameOf(host: string): string | null {
  const url = `http://${host}`;
  return URL.canParse(url) ? new URL(url).hostname : null;
}

/** `localhost` and the addresses of this machine to itself: a page from there is from this machine. */
export const isLoopback = (name: string | null): boolean =>
  name !== null && /^(localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])$/.test(name);

/**
 * Whether what is open to this machine or network may be told under this name. A page elsewhere can make a name of its own
 * resolve to any address and read the answers as its own (DNS rebinding); it cannot do so with an address, nor with
 * `localhost`, nor with the name that this server was told to listen on.
 */
export function isOwnName(host: string | undefined, configured: string): boolean {
  const name = nameOf(host ?? '');
  if (name === null) return false;
  return isLoopback(name) || isIP(name.replace(/^\[|\]$/g, '')) !== 0 || name === configured.toLowerCase();
}
