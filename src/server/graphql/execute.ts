import {
  type DocumentNode,
  type ExecutionArgs,
  type ExecutionResult,
  GraphQLError,
  getOperationAST,
  execute as interpret,
  OperationTypeNode,
} from 'graphql';
import { ChatError } from '../../domain/errors.js';
import { findExcess } from '../../schema/bill.js';
import { findBadArgument } from '../../schema/checked.js';
import { findTooLargeAnswer, findTooManyFields } from '../../schema/complexity.js';
import { toGraphqlError } from '../../schema/graphql-error.js';
import { findOperation } from '../../schema/operation.js';
import type { RequestContext } from './context.js';
import { findCompiled } from './documents/compiled-operations.js';
import { tooLargeMessage } from './print.js';

export type Execute = (args: ExecutionArgs) => ExecutionResult | Promise<ExecutionResult>;

/**
 * `execute` of graphql, which runs registered documents as compiled functions. Variables are checked by graphql, because
 * graphql-jit words its errors differently and a deep value overflows its stack.
 */
export const execute: Execute = (args) => {
  const refusal = findBadArgument(args) ?? findTooManyFields(args) ?? findTooLargeAnswer(args);
  if (refusal !== null) return { errors: [refusal] };
  const operation = getOperationAST(args.document, args.operationName);
  const query = operation == null ? undefined : findCompiled(operation);
  if (query === undefined || findOperation(args) === null) return refuseWhole(interpret(args), args);
  // Without a prototype: an absent variable may have the name of one of its properties.
  const variables = Object.assign(Object.create(null), args.variableValues);
  const result = query(args.rootValue, args.contextValue, variables);
  const locate = (executed: ExecutionResult) => locateErrors(executed, args.document);
  return refuseWhole(result instanceof Promise ? result.then(locate) : locate(result), args);
};

/**
 * Refuses the whole result if its lists contain more than one operation may have, or if its texts alone are longer than an
 * answer may be: printing it would take longer than executing it.
 */
function refuseWhole(executed: ExecutionResult | Promise<ExecutionResult>, args: ExecutionArgs) {
  if (executed instanceof Promise) return executed.then(refuse);
  return refuse(executed);
  function refuse(result: ExecutionResult): ExecutionResult {
    const context = args.contextValue as RequestContext;
    const excess = result.errors === undefined ? undefined : findExcess(context);
    if (excess !== undefined) return { errors: [excess] };
    return isTooLong(context, args) ? { data: null, errors: [refusal(context)] } : result;
  }
}

/** An event has a limit of its own, and its subscription goes on. */
function isTooLong({ textLength = 0, deps: { limits } }: RequestContext, { document, operationName }: ExecutionArgs) {
  if (textLength <= limits.maxAnswerBytes) return false;
  return getOperationAST(document, operationName)?.operation !== OperationTypeNode.SUBSCRIPTION;
}

function refusal({ deps: { limits } }: RequestContext): GraphQLError {
  return toGraphqlError(new ChatError('BAD_USER_INPUT', tooLargeMessage(limits.maxAnswerBytes)));
}

/** Makes the errors like those of graphql: with a position in the document, and a cause for a missing value. */
function locateErrors(result: ExecutionResult, { loc }: DocumentNode): ExecutionResult {
  if (result.errors === undefined) return result;
  const source = loc?.source;
  const lineStarts = [0, ...[...(source?.body ?? '').matchAll(/\r\n|[\n\r]/g)].map((end) => end.index + end[0].length)];
  const errors = result.errors.map(
    ({ message, locations, path, originalError }) =>
      new GraphQLError(message, {
        source: source ?? null,
        positions: locations?.map(({ line, column }) => (lineStarts[line - 1] ?? 0) + column - 1) ?? null,
        path: path ?? null,
        originalError: originalError ?? new Error(message),
      }),
  );
  return { ...result, errors };
}
