import { complexityFromQuery } from '@pothos/plugin-complexity';
import { type DocumentNode, type ExecutionArgs, getOperationAST, Kind } from 'graphql';
import { ChatError } from '../domain/errors.js';
import type { Context } from './builder.js';

/** How many fields the operation may touch, lists counted as often as they may be long. */
export function complexityOf({ schema, document, operationName, variableValues, contextValue }: ExecutionArgs): number {
  return complexityFromQuery(withOneOperation(document, operationName), {
    schema,
    ctx: contextValue as Context,
    variables: variableValues ?? {},
  }).complexity;
}

/**
 * What a subscription selects is executed again for each event and subscriber, so it has to be smaller than a query.
 * @throws {ChatError} BAD_USER_INPUT where one event may touch more than `limits.maxEventComplexity` fields
 */
export function assertSmallEvents(args: ExecutionArgs): void {
  const complexity = complexityOf(args);
  const { maxEventComplexity } = (args.contextValue as Context).deps.limits;
  if (complexity <= maxEventComplexity) return;
  throw new ChatError(
    'BAD_USER_INPUT',
    `One event of this subscription may touch ${complexity} fields; at most ${maxEventComplexity} are allowed`,
  );
}

/** The measure takes the first operation that it finds. */
function withOneOperation(document: DocumentNode, operationName: string | null | undefined): DocumentNode {
  const operation = getOperationAST(document, operationName);
  const fragments = document.definitions.filter(({ kind }) => kind === Kind.FRAGMENT_DEFINITION);
  return { ...document, definitions: operation == null ? fragments : [operation, ...fragments] };
}
