/**
 * A frame of another site sends no cookie, and one with a path in front of it has another one; they read with a token in the
 * address, which the browser caches for an hour only.
 */
export const mayUseCookie = window.parent === window && new URL('./', document.baseURI).pathname === '/';

/** One after the other: the end of one user's cookie must not come after the beginning of the next one's. */
let last: Promise<unknown> = Promise.resolve();

/** Gets the cookie with which this browser reads files. Rejects if there is none now. */
export function beginCookie(token: string): Promise<void> {
  const begun = last.then(async () => {
    const headers = { authorization: `Bearer ${token}` };
    const { ok } = await fetch('/files/session', { method: 'POST', headers });
    if (!ok) throw new Error('There is no access now');
  });
  last = begun.catch(() => undefined);
  return begun;
}

/** Ends it, also one of a page before. */
export function endCookie(): void {
  if (!mayUseCookie) return;
  last = last.then(() => fetch('/files/session', { method: 'DELETE', keepalive: true })).catch(() => undefined);
}
