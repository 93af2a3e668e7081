import { randomUUID } from 'node:crypto';
import { type ExecutionResult, GraphQLError, type GraphQLFormattedError } from 'graphql';
import type { Logger } from 'pino';
import { ChatError } from '../../domain/errors.js';

/** What an error looks like to a client. The same for HTTP, SSE and WebSocket. */
export type MaskError = (error: unknown) => GraphQLError;

/** What was thrown as a result without data. */
export function toResult(error: unknown): ExecutionResult {
  if (error instanceof GraphQLError) return { errors: [error] };
  const originalError = error instanceof Error ? error : new Error(String(error));
  return { errors: [new GraphQLError(originalError.message, { originalError })] };
}

/** As it is sent over a WebSocket: without the HTTP status that yoga notes for its own use. */
export function toFormatted(error: GraphQLError): GraphQLFormattedError {
  const { extensions: { http: _http, ...extensions } = {}, ...formatted } = error.toJSON();
  return { ...formatted, extensions };
}

/**
 * A ChatError is told as it is, and what graphql says of a bad document or variable is BAD_USER_INPUT. Everything else
 * is a bug: logged with its cause, told as INTERNAL with the correlation id under which the log has it.
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
  // Never the GraphQLError around it: it carries the document, and so what people write to each other.
  log.error({ err: cause, correlationId, path: located?.path }, 'A request failed unexpectedly');
  return relocate(located, 'Something went wrong on our side', { code: 'INTERNAL', correlationId });
}

/** What graphql says of a variable wraps what its scalar says: the outer one points at the document. */
function rootCause(error: unknown): unknown {
  let cause = error;
  while (cause instanceof GraphQLError && cause.originalError !== undefined && !isOfVariable(cause)) {
    cause = cause.originalError;
  }
  return cause;
}

const isOfVariable = ({ path, originalError }: GraphQLError): boolean =>
  path === undefined && originalError instanceof GraphQLError && originalError.originalError === undefined;

/** yoga's own refusals bring the HTTP status that belongs to them; a body that is no JSON is 400 for every client. */
function httpOf({ extensions: { http, originalError } }: GraphQLError): { http?: unknown } {
  if (http === undefined) return {};
  return { http: originalError === undefined ? http : { status: 400 } };
}

/** Errors in the document or its variables point at the document; what a broken result causes does not by itself. */
const isRequestError = (cause: GraphQLError, located: GraphQLError | undefined): boolean =>
  cause === located || cause.nodes !== undefined || cause.source !== undefined;

/** At the same place, which is not searched for again: that means to count the lines of the document. */
function relocate(located: GraphQLError | undefined, message: string, extensions: Record<string, unknown>) {
  const error = new GraphQLError(message, { path: located?.path ?? null, extensions });
  if (located === undefined) return error;
  const { nodes, source, positions, locations } = located;
  return Object.assign(error, { nodes, source, positions, locations });
}
