import type { FreshToken } from './resume.js';

/** `fetch` with the token in its header. */
export const createAuthorizedFetch =
  (freshToken: FreshToken): typeof fetch =>
  async (input, init) => {
    const headers = new Headers(init?.headers);
    headers.set('authorization', `Bearer ${await freshToken()}`);
    return fetch(input, { ...init, headers });
  };
