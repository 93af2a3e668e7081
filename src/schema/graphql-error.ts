import { GraphQLError, type GraphQLErrorOptions } from 'graphql';

/**
 * Creates an error for a client without collecting its stack, which no client sees: with source maps, the stack costs more
 * than a small query. A logged cause keeps its own.
 */
export function createGraphqlError(message: string, options: GraphQLErrorOptions = {}): GraphQLError {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return new GraphQLError(message, options);
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

/** The same for an error with a code. */
export const toGraphqlError = (originalError: Error, options: GraphQLErrorOptions = {}): GraphQLError =>
  createGraphqlError(originalError.message, { ...options, originalError });
