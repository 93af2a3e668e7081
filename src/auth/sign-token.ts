import { SignJWT } from 'jose';

export interface SignOptions {
  readonly issuer?: string | undefined;
  readonly audience?: string | undefined;
  /** As jose understands it: "12h", "30m". At most 24 h are worth anything to the server. */
  readonly expiresIn?: string;
}

/** A token as the host platform would sign it, for development and demos. */
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
