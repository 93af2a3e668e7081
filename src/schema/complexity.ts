import {
  type DocumentNode,
  type ExecutionArgs,
  GraphQLError,
  type GraphQLSchema,
  getOperationAST,
  OperationTypeNode,
  TypeInfo,
  visit,
  visitWithTypeInfo,
} from 'graphql';
import { ChatError } from '../domain/errors.js';
import type { Context } from './context.js';
import { toGraphqlError } from './graphql-error.js';
import { findOperation } from './operation.js';
import { maxPriceOf, prepaidEntries, priceOfOperation, unpagedLists } from './price.js';

/** How many fields the operation, or one event, may touch, with the prepaid number of entries in each list that is not paged. */
export const complexityOf = (args: ExecutionArgs): number => priceWith(args, prepaidEntries);

/** The same with as many entries in each of those lists as a room may have members. */
export const mostComplexityOf = (args: ExecutionArgs): number => priceWith(args, limitsOf(args).maxRoomMembers);

function priceWith(args: ExecutionArgs, entries: number): number {
  const operation = findOperation(args);
  // Execution reports a missing operation or invalid variables.
  return operation === null ? 0 : priceOfOperation({ ...operation, entries });
}

const limitsOf = ({ contextValue }: ExecutionArgs) => (contextValue as Context).deps.limits;

/** The error of an operation that touches too many fields even with short lists, or null. */
export function findTooManyFields(args: ExecutionArgs): GraphQLError | null {
  const { maxComplexity } = limitsOf(args);
  try {
    const complexity = complexityOf(args);
    return complexity > maxComplexity
      ? refusal(`The operation may touch ${complexity} fields; at most ${maxComplexity} are allowed`)
      : null;
  } catch (error) {
    // An argument that the price depends on is missing.
    if (error instanceof GraphQLError) return error;
    throw error;
  }
}

/**
 * A subscription's selection is executed again for each event and subscriber, so its limit is lower than that of a query.
 * @throws {ChatError} BAD_USER_INPUT if one event may touch more than `limits.maxEventComplexity` fields
 */
export function assertSmallEvents(args: ExecutionArgs): void {
  const complexity = complexityOf(args);
  const { maxEventComplexity } = limitsOf(args);
  if (complexity <= maxEventComplexity) return;
  throw new ChatError(
    'BAD_USER_INPUT',
    `One event of this subscription may touch ${complexity} fields; at most ${maxEventComplexity} are allowed`,
  );
}

/** The error of a mutation whose answer may become too large, or null: it would be done without an answer. */
export function findTooLargeAnswer(args: ExecutionArgs): GraphQLError | null {
  const { schema, document, operationName } = args;
  if (getOperationAST(document, operationName)?.operation !== OperationTypeNode.MUTATION) return null;
  if (!hasUnpagedLists(schema, document)) return null;
  const context = args.contextValue as Context;
  const max = maxPriceOf(OperationTypeNode.MUTATION, context);
  const price = mostComplexityOf(args);
  if (!(price > max)) return null;
  return refusal(
    `The answer may touch ${price} fields if its lists have all members of a room; at most ${max} are allowed. Ask for a page (memberPage)`,
  );
}

function refusal(message: string): GraphQLError {
  return toGraphqlError(new ChatError('BAD_USER_INPUT', message));
}

/** Keyed by document; the parser's cache returns the same object for the same text. */
const known = new WeakMap<DocumentNode, boolean>();

/** Whether the document selects a list whose length is unknown before execution. */
export function hasUnpagedLists(schema: GraphQLSchema, document: DocumentNode): boolean {
  let isFound = known.get(document);
  if (isFound === undefined) {
    isFound = false;
    const types = new TypeInfo(schema);
    const visitor = {
      Field: () => {
        if (unpagedLists.has(`${types.getParentType()?.name}.${types.getFieldDef()?.name}`)) isFound = true;
      },
    };
    visit(document, visitWithTypeInfo(types, visitor));
    known.set(document, isFound);
  }
  return isFound;
}
