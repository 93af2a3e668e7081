import type { AttachmentFailure } from './operations/generated/documents.js';

/** The server's codes, and the client's own: no answer came, the client is signed out, too old, or closed. */
export type FairwayErrorCode =
  | 'UNAUTHENTICATED'
  | 'FORBIDDEN'
  | 'NOT_FOUND'
  | 'BAD_USER_INPUT'
  | 'CONFLICT'
  | 'RATE_LIMITED'
  | 'UNAVAILABLE'
  | 'INTERNAL'
  | 'OFFLINE'
  | 'NO_ANSWER'
  | 'SIGNED_OUT'
  | 'OUTDATED'
  | 'CLOSED'
  | 'OUTBOX_FULL'
  /** Why a file was refused: `Attachment.failure` of the server; also before it is sent. */
  | `FILE_${AttachmentFailure}`
  /** The device has no room to keep the file until it is sent. A retry sends it from memory. */
  | 'FILE_NOT_STORED'
  /** The bytes are not on this device any more. */
  | 'FILE_LOST';

/** Why something was refused or could not be done. */
export class FairwayError extends Error {
  override readonly name = 'FairwayError';
  /** How long to wait before a retry, if the server said so. */
  readonly retryAfterMs: number | undefined;

  constructor(
    readonly code: FairwayErrorCode,
    message: string,
    retryAfterMs?: number,
  ) {
    super(message);
    this.retryAfterMs = retryAfterMs;
  }
}

/** How graphql refuses a document that does not fit the schema. Wrong arguments and variables are mistakes of the caller. */
const unknownPattern = /^(Cannot query|Unknown|Field|Value) /;

/** A server that says less, or more, is mistaken. */
const shortestWaitMs = 100;
const longestWaitMs = 10 * 60_000;

const known = new Set<string>([
  'UNAUTHENTICATED',
  'FORBIDDEN',
  'NOT_FOUND',
  'BAD_USER_INPUT',
  'CONFLICT',
  'RATE_LIMITED',
  'UNAVAILABLE',
  'INTERNAL',
]);

/** The error of an answer's `errors`. A code that this client does not know is treated as INTERNAL. */
export function toFairwayError(errors: unknown): FairwayError {
  const [first] = Array.isArray(errors) ? errors : [];
  const { message, path, extensions } = (first ?? {}) as {
    message?: unknown;
    path?: unknown;
    extensions?: { code?: unknown; retryAfterMs?: unknown };
  };
  const text = typeof message === 'string' ? message : 'The server refused it';
  const code = String(extensions?.code);
  const isInvalid = code === 'BAD_USER_INPUT' && path === undefined && unknownPattern.test(text);
  if (isInvalid || code === 'DOCUMENT_NOT_REGISTERED') return new FairwayError('OUTDATED', text);
  const wait = Number.isFinite(extensions?.retryAfterMs)
    ? Math.min(Math.max(Number(extensions?.retryAfterMs), shortestWaitMs), longestWaitMs)
    : undefined;
  return new FairwayError(known.has(code) ? (code as FairwayErrorCode) : 'INTERNAL', text, wait);
}

/** Whether repeating the same can never succeed. */
export const isFinal = (error: FairwayError): boolean => /^(FORB|NOT_F|BAD|CONF|FILE)/.test(error.code);

/** Any thrown value as an error of this client. */
export const asFairwayError = (error: unknown): FairwayError =>
  error instanceof FairwayError ? error : new FairwayError('INTERNAL', String(error));
