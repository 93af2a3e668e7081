import { type JWTPayload, SignJWT } from 'jose';
import { testSecret } from './instance.js';

export const nowSeconds = (): number => Math.floor(Date.now() / 1_000);

/** Signs a token with valid claims, replaced by the given ones; `undefined` leaves a claim out. */
export function forgeToken(
  claims: Partial<Record<keyof JWTPayload | 'name', unknown>> = {},
  { secret = testSecret, alg = 'HS256' } = {},
): Promise<string> {
  const good = { sub: '4', name: '김철수', iat: nowSeconds(), exp: nowSeconds() + 3_600 };
  return new SignJWT({ ...good, ...claims } as JWTPayload)
    .setProtectedHeader({ alg })
    .sign(new TextEncoder().encode(secret));
}
