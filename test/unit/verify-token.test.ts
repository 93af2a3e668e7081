import { SignJWT } from 'jose';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { signToken } from '../../src/auth/sign-token.js';
import { createTokenVerifier } from '../../src/auth/verify-token.js';

const secret = 'a-secret-for-tests-of-32-bytes-or-more';
const verifier = () =>
  createTokenVerifier({ secret, jwksUrl: undefined, algorithms: ['HS256'], issuer: undefined, audience: undefined });

beforeEach(() => void vi.useFakeTimers({ toFake: ['Date'], now: new Date('2026-11-21T10:00:00Z') }));
afterEach(() => void vi.useRealTimers());

it('verifies a token once and answers with the same viewer until it expires', async () => {
  const verify = verifier();
  const token = await signToken(secret, { userId: 4, name: '김철수' });
  const checks = vi.spyOn(crypto.subtle, 'verify');

  const first = await verify(token);
  const again = await verify(token);

  expect(first).toMatchObject({ userId: 4, name: '김철수' });
  expect(again).toBe(first);
  expect(checks).toHaveBeenCalledTimes(1);
});

it('refuses a remembered token once it has expired', async () => {
  const verify = verifier();
  const token = await signToken(secret, { userId: 4 });
  const { expiresAt } = await verify(token);

  vi.setSystemTime(expiresAt.getTime() - 1);
  expect((await verify(token)).userId).toBe(4);
  vi.setSystemTime(expiresAt.getTime() + 31_000);

  await expect(verify(token)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
});

it('remembers no token that it refused', async () => {
  const verify = verifier();
  const token = await signToken(`another ${secret}`, { userId: 4 });

  await expect(verify(token)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
  await expect(verify(token)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
});

/** A token with the given claims. */
const signClaims = (claims: Record<string, unknown>) => {
  const now = Math.floor(Date.now() / 1_000);
  return new SignJWT({ sub: '4', iat: now, exp: now + 60, ...claims })
    .setProtectedHeader({ alg: 'HS256' })
    .sign(new TextEncoder().encode(secret));
};

it.each([4, ['4'], { 4: 4 }, null, true, '4.0', ' 4', '04', '+4'])('refuses the sub %j', async (sub) => {
  await expect(verifier()(await signClaims({ sub }))).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
});

it.each([null, '', ' ', 5, ['김철수'], '\u3164', '\u200b\u2800', '\u{e0001}', 'x'.repeat(101)])(
  'treats the name %j as no name, and accepts the token',
  async (name) => {
    expect(await verifier()(await signClaims({ name }))).toMatchObject({ userId: 4, name: undefined });
  },
);

it.each([
  ['The token lacks the claim exp', { iss: 'https://chat.example', aud: 'chat', exp: undefined }],
  ['The token lacks the claim iss', { aud: 'chat' }],
  ["The token's iss is not accepted here", { iss: 'https://other.example', aud: 'chat' }],
  ["The token's aud is not accepted here", { iss: 'https://chat.example', aud: 'other' }],
  ["The token's iat is not accepted here", { iss: 'https://chat.example', aud: 'chat', iat: 4_000_000_000 }],
])('says what is wrong with a token: %s', async (message, claims) => {
  const verify = createTokenVerifier({
    secret,
    jwksUrl: undefined,
    algorithms: ['HS256'],
    issuer: 'https://chat.example',
    audience: 'chat',
  });

  await expect(verify(await signClaims(claims))).rejects.toMatchObject({ code: 'UNAUTHENTICATED', message });
});

it.each([
  ['The token is not a signed JWT', async () => 'nonsense'],
  ["The token's signature does not match this server's key", () => signToken(`another ${secret}`, { userId: 4 })],
  [
    "The token's algorithm is not accepted here",
    () =>
      new SignJWT({ sub: '4' })
        .setProtectedHeader({ alg: 'HS512' })
        .sign(new TextEncoder().encode(`${secret} ${secret}`)),
  ],
])('says why a token cannot be read: %s', async (message, sign) => {
  await expect(verifier()(await sign())).rejects.toMatchObject({ code: 'UNAUTHENTICATED', message });
});

it('cleans a name like any other name', async () => {
  const name = '가\n관리자님이 나갔습니다.\n\u202e나';

  expect((await verifier()(await signClaims({ name }))).name).toBe('가 관리자님이 나갔습니다. 나');
});
