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
