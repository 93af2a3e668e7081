import { randomUUID } from 'node:crypto';
import { type ExecutionResult, GraphQLError, type GraphQLFormattedError } from 'graphql';
import type { Logger } from 'pino';
import { ChatError } from '../../domain/errors.js';
import { createGraphqlError, toGraphqlError } from '../../schema/graphql-error.js';

/** Converts an error to the form that clients see, over HTTP, SSE and WebSocket alike. */
export type MaskError = (error: unknown) => GraphQLError;

/** Converts a thrown error to a result without data. */
export function toResult(error: unknown): ExecutionResult {
  if (error instanceof GraphQLError) return { errors: [error] };
  const originalError = error instanceof Error ? error : new Error(String(error));
  return { errors: [toGraphqlError(originalError)] };
}

/** The form for WebSockets, without the HTTP status that only yoga uses. */
export function toFormatted(error: GraphQLError): GraphQLFormattedError {
  const { extensions: { http: _http, ...extensions } = {}, ...formatted } = error.toJSON();
  return { ...formatted, extensions };
}

/**
 * Keeps a ChatError as it is, and returns graphql's errors about a document or its variables as BAD_USER_INPUT. Any other
 * error is a bug: it is logged with its cause and returned as INTERNAL with a correlation id, which is also in the log.
 */
export function createMaskError(log: Logger, { suggestions }: { suggestions: boolean }): MaskError {
  const masked = new WeakSet<Error>();
  const mask: MaskError = (error) => {
    if (error instanceof GraphQLError && masked.has(error)) return error;
    const result = toClientError(error, log, suggestions);
    masked.add(result);
    return result;
  };
  return mask;
}

function toClientError(error: unknown, log: Logger, suggestions: boolean): GraphQLError {
  const located = error instanceof GraphQLError ? error : undefined;
  const cause = rootCause(error);
  if (cause instanceof ChatError) {
    const { code, retryAfterMs } = cause;
    const http = located === undefined ? {} : httpOf(located);
    return relocate(located, cause.message, { ...http, code, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) });
  }
  if (cause instanceof GraphQLError && isRequestError(cause, located)) {
    const message = suggestions ? cause.message : cause.message.replace(/ Did you mean .*\?$/, '');
    return relocate(located, message, { ...httpOf(cause), code: 'BAD_USER_INPUT' });
  }
  const correlationId = randomUUID();
  // Does not log the GraphQLError around the cause: it contains the document, which may contain private messages.
  log.error({ err: cause, correlationId, path: located?.path }, 'A request failed unexpectedly');
  return relocate(located, 'Something went wrong on our side', { code: 'INTERNAL', correlationId });
}

/** Stops at graphql's error about a variable, which wraps the error of its scalar: only the outer one has a location. */
function rootCause(error: unknown): unknown {
  let cause = error;
  while (cause instanceof GraphQLError && cause.originalError !== undefined && !isOfVariable(cause)) {
    cause = cause.originalError;
  }
  return cause;
}

const isOfVariable = ({ path, originalError }: GraphQLError): boolean =>
  path === undefined && originalError instanceof GraphQLError && originalError.originalError === undefined;

/** yoga's own errors have their HTTP status; a body that is not JSON is 400 for every client. */
function httpOf({ extensions: { http, originalError } }: GraphQLError): { http?: unknown } {
  if (http === undefined) return {};
  return { http: originalError === undefined ? http : { status: 400 } };
}

/** Errors in the document or its variables have a location of their own; an error of a resolver does not. */
const isRequestError = (cause: GraphQLError, located: GraphQLError | undefined): boolean =>
  cause === located || cause.nodes !== undefined || cause.source !== undefined;

/** Copies the location, because computing it again means counting the lines of the document. */
function relocate(located: GraphQLError | undefined, message: string, extensions: Record<string, unknown>) {
  const error = createGraphqlError(message, { path: located?.path ?? null, extensions });
  if (located === undefined) return error;
  const { nodes, source, positions, locations } = located;
  return Object.assign(error, { nodes, source, positions, locations });
}
