import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';
import { expect, it, onTestFinished } from 'vitest';
import { createTokenVerifier } from '../../src/auth/verify-token.js';

/** Starts a key server; resolves with a verifier that uses it, and with a function that publishes another key. */
async function startKeyServer() {
  const keys: JWK[] = [];
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ keys }));
  }).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const verify = createTokenVerifier({
    secret: undefined,
    jwksUrl: `http://127.0.0.1:${port}/jwks`,
    algorithms: ['ES256'],
    issuer: undefined,
    audience: undefined,
  });
  const publish = async (kid: string): Promise<CryptoKey> => {
    const { publicKey, privateKey } = await generateKeyPair('ES256');
    keys.push({ ...(await exportJWK(publicKey)), kid, alg: 'ES256' });
    return privateKey;
  };
  return { verify, publish };
}

const sign = (key: CryptoKey, kid?: string) =>
  new SignJWT({})
    .setProtectedHeader({ alg: 'ES256', ...(kid === undefined ? {} : { kid }) })
    .setSubject('4')
    .setIssuedAt()
    .setExpirationTime('1h')
    .sign(key);

it('does not refuse a token as invalid if its key may have been published a moment ago', async () => {
  const { verify, publish } = await startKeyServer();
  const first = await publish('first');
  await verify(await sign(first, 'first'));

  const second = await publish('second');

  await expect(verify(await sign(second, 'second'))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
});

it('refuses a token whose key the key server does not have', async () => {
  const { verify, publish } = await startKeyServer();
  await publish('first');
  const { privateKey: unknown } = await generateKeyPair('ES256');

  await expect(verify(await sign(unknown, 'unknown'))).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
});

it('says that a token lacks a kid if there are several keys', async () => {
  const { verify, publish } = await startKeyServer();
  const first = await publish('first');
  expect(await verify(await sign(first))).toMatchObject({ userId: 4 });

  const other = await startKeyServer();
  await other.publish('second');
  const third = await other.publish('third');

  await expect(other.verify(await sign(third))).rejects.toMatchObject({
    code: 'UNAUTHENTICATED',
    message: expect.stringContaining('kid'),
  });
});
