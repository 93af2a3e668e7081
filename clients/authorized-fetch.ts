import type { FreshToken } from './resume.js';

/** Throw this in `freshToken` if there is no other token: nothing is repeated, and `onEnd` gets `UNAUTHENTICATED`. */
export class SignedOut extends Error {
  readonly extensions = { code: 'UNAUTHENTICATED' };
}

/** `fetch` with the token in its header. A request whose token is refused is repeated once with another one. */
export const createAuthorizedFetch =
  (freshToken: FreshToken): typeof fetch =>
  async (input, init) => {
    const send = (token: string) => {
      const headers = new Headers(init?.headers);
      headers.set('authorization', `Bearer ${token}`);
      return fetch(input, { ...init, headers });
    };
    const token = await freshToken();
    const response = await send(token);
    return response.status === 401 ? send(await freshToken(token)) : response;
  };
