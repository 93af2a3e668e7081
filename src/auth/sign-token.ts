import { SignJWT } from 'jose';

export interface SignOptions {
  readonly issuer?: string | undefined;
  readonly audience?: string | undefined;
  /** In jose's format: "12h", "30m". The server accepts a token for at most 24 hours. */
  readonly expiresIn?: string;
}

/** Signs a token like the host platform does, for development and demos. */
export async function signToken(
  secret: string,
  { userId, name }: { userId: number; name?: string | undefined },
  { issuer, audience, expiresIn = '12h' }: SignOptions = {},
): Promise<string> {
  const token = new SignJWT(name === undefined ? {} : { name })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(String(userId))
    .setIssuedAt()
    .setExpirationTime(expiresIn);
  if (issuer !== undefined) token.setIssuer(issuer);
  if (audience !== undefined) token.setAudience(audience);
  return token.sign(new TextEncoder().encode(secret));
}
