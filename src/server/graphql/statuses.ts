import type { ErrorCode } from '../../domain/errors.js';

/** The HTTP statuses for refusing a whole request; an error inside an operation is 200, as usual in GraphQL. */
export const statuses: Record<ErrorCode, number> = {
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  BAD_USER_INPUT: 400,
  DOCUMENT_NOT_REGISTERED: 400,
  CONFLICT: 409,
  RATE_LIMITED: 429,
  UNAVAILABLE: 503,
  INTERNAL: 500,
};
