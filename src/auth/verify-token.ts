import {
  createRemoteJWKSet,
  decodeProtectedHeader,
  errors,
  type JWTPayload,
  type JWTVerifyGetKey,
  jwtVerify,
} from 'jose';
import { LRUCache } from 'lru-cache';
import { readName, readUrl } from '../domain/content.js';
import { ChatError } from '../domain/errors.js';
import { isUserId } from '../domain/ids.js';
import { clockLeewayMs, type Viewer } from '../domain/viewer.js';

/** Resolves with the viewer of a valid token. */
export type VerifyToken = (token: string) => Promise<Viewer>;

export interface VerifyOptions {
  /** The secret for HS256; without it, the keys at `jwksUrl` are used. */
  readonly secret: string | undefined;
  readonly jwksUrl: string | undefined;
  /** The algorithms that a token may use. The token's own header does not choose. */
  readonly algorithms: readonly string[];
  readonly issuer: string | undefined;
  readonly audience: string | undefined;
}

const maxTokenAgeSeconds = 24 * 60 * 60;
const leewaySeconds = clockLeewayMs / 1_000;
const maxKnownTokens = 10_000;

/**
 * Verifies each token once and caches it until it expires: a client sends the same token with every request. Cached tokens
 * stay valid when their key is withdrawn. The required claims are explicit because jose by default accepts a missing `exp`
 * and any issuer or audience.
 * The returned function throws ChatErrors: UNAUTHENTICATED for an invalid token, UNAVAILABLE if the keys cannot be loaded.
 */
export function createTokenVerifier(options: VerifyOptions): VerifyToken {
  const keys = createKeys(options);
  const { algorithms, issuer, audience } = options;
  const rules = {
    algorithms: [...algorithms],
    requiredClaims: ['exp', 'iat', 'sub'],
    maxTokenAge: maxTokenAgeSeconds,
    clockTolerance: leewaySeconds,
    ...(issuer === undefined ? {} : { issuer }),
    ...(audience === undefined ? {} : { audience }),
  };
  const known = new LRUCache<string, Viewer>({ max: maxKnownTokens, perf: Date, ttlResolution: 0 });
  return async (token) => {
    const remembered = known.get(token);
    if (remembered !== undefined) return remembered;
    const mayBeOutdated = keys.coolingDown === true;
    const { payload } = await jwtVerify(token, keys, rules).catch((error: unknown) =>
      refuse(error, () => mayBeOutdated && isUnknownKey(keys, token)),
    );
    const viewer = toViewer(payload);
    const leftMs = viewer.expiresAt.getTime() - Date.now();
    if (leftMs > 0) known.set(token, viewer, { ttl: leftMs });
    return viewer;
  };
}

/** `coolingDown`: the keys were loaded so recently that jose does not load them again for an unknown key. */
type Keys = JWTVerifyGetKey & Partial<Pick<ReturnType<typeof createRemoteJWKSet>, 'coolingDown' | 'jwks'>>;

function createKeys({ secret, jwksUrl }: VerifyOptions): Keys {
  if (jwksUrl !== undefined) return createRemoteJWKSet(new URL(jwksUrl), { timeoutDuration: 5_000 });
  if (secret === undefined) throw new Error('A secret or a JWKS URL is needed to verify tokens');
  const key = new TextEncoder().encode(secret);
  return async () => key;
}

/** An invalid name or picture is ignored: `sub` alone identifies the user. */
function toViewer({
  sub,
  name,
  picture,
  iat = 0,
  exp = 0,
}: JWTPayload & { name?: unknown; picture?: unknown }): Viewer {
  if (!isUserId(sub)) throw unauthenticated("The token's sub must be a user's number");
  return {
    userId: Number(sub),
    name: readName(name) ?? undefined,
    avatarUrl: readUrl(picture) ?? undefined,
    issuedAt: new Date(iat * 1_000),
    expiresAt: new Date(Math.min(exp, iat + maxTokenAgeSeconds) * 1_000),
  };
}

/** Whether the token names a key that is not among the loaded ones. */
function isUnknownKey({ jwks }: Keys, token: string): boolean {
  const { kid } = decodeProtectedHeader(token);
  return kid !== undefined && jwks?.()?.keys.some((key) => key.kid === kid) === false;
}

/** @param mayBeNew - whether the key server may have the token's key by now, without having been asked again */
function refuse(error: unknown, mayBeNew: () => boolean): never {
  if (
    (error instanceof errors.JWKSNoMatchingKey && mayBeNew()) ||
    error instanceof errors.JWKSTimeout ||
    isKeyServerFault(error)
  ) {
    throw new ChatError('UNAVAILABLE', 'Tokens cannot be verified at the moment; try again', { cause: error });
  }
  if (error instanceof errors.JWTExpired) throw unauthenticated('The token has expired', error);
  if (error instanceof errors.JOSEError) throw unauthenticated(reasonOf(error), error);
  throw error;
}

/** The reason for the refusal, for developers of the platform. It reveals nothing that the issuer of a token does not know. */
function reasonOf(error: errors.JOSEError): string {
  if (error instanceof errors.JWTClaimValidationFailed) {
    return error.reason === 'missing'
      ? `The token lacks the claim ${error.claim}`
      : `The token's ${error.claim} is not accepted here`;
  }
  if (error instanceof errors.JWSSignatureVerificationFailed)
    return "The token's signature does not match this server's key";
  if (error instanceof errors.JOSEAlgNotAllowed) return "The token's algorithm is not accepted here";
  if (error instanceof errors.JWKSNoMatchingKey) return "The token's key is not among those at AUTH_JWKS_URL";
  if (error instanceof errors.JWKSMultipleMatchingKeys) {
    return 'The token must name (kid) one of the keys at AUTH_JWKS_URL';
  }
  return 'The token is not a signed JWT';
}

/** jose reports an unreachable or broken key server as a plain JOSEError or as fetch's own TypeError. */
const isKeyServerFault = (error: unknown): boolean =>
  (error instanceof errors.JOSEError && (error.code === 'ERR_JOSE_GENERIC' || error instanceof errors.JWKSInvalid)) ||
  (error instanceof TypeError && error.message.includes('fetch'));

const unauthenticated = (message: string, cause?: unknown) => new ChatError('UNAUTHENTICATED', message, { cause });
