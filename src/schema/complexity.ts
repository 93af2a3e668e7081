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
import { findOperation } from './operation.js';
import { maxPriceOf, prepaidEntries, priceOfOperation, unpagedLists } from './price.js';

/** How many fields the operation may touch, or one event, with what it pays for in advance of its lists. */
export const complexityOf = (args: ExecutionArgs): number => priceWith(args, prepaidEntries);

/** The same where each of those lists has all members of a room. */
export const mostComplexityOf = (args: ExecutionArgs): number => priceWith(args, limitsOf(args).maxRoomMembers);

/** The same with so many entries in each of those lists. */
function priceWith(args: ExecutionArgs, entries: number): number {
  const operation = findOperation(args);
  // What does not fit is refused where it is executed.
  return operation === null ? 0 : priceOfOperation({ ...operation, entries });
}

const limitsOf = ({ contextValue }: ExecutionArgs) => (contextValue as Context).deps.limits;

/** What is wrong with an operation that touches too many fields whatever its lists hold. Null where all is well. */
export function findTooManyFields(args: ExecutionArgs): GraphQLError | null {
  const { maxComplexity } = limitsOf(args);
  try {
    const complexity = complexityOf(args);
    return complexity > maxComplexity
      ? refusal(`The operation may touch ${complexity} fields; at most ${maxComplexity} are allowed`)
      : null;
  } catch (error) {
    // An argument of which that depends is missing.
    if (error instanceof GraphQLError) return error;
    throw error;
  }
}

/**
 * What a subscription selects is executed again for each event and subscriber, so it has to be smaller than a query.
 * @throws {ChatError} BAD_USER_INPUT where one event may touch more than `limits.maxEventComplexity` fields
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

/**
 * What is wrong with a mutation whose answer may turn out to be too large: it would be done, and not answered. Null where
 * all is well.
 */
export function findTooLargeAnswer(args: ExecutionArgs): GraphQLError | null {
  const { schema, document, operationName } = args;
  if (getOperationAST(document, operationName)?.operation !== OperationTypeNode.MUTATION) return null;
  if (!hasUnpagedLists(schema, document)) return null;
  const context = args.contextValue as Context;
  const max = maxPriceOf(OperationTypeNode.MUTATION, context);
  const price = mostComplexityOf(args);
  if (!(price > max)) return null;
  return refusal(
    `The answer may touch ${price} fields where its lists have all members of a room; at most ${max} are allowed. Ask for a page (memberPage)`,
  );
}

function refusal(message: string): GraphQLError {
  return new GraphQLError(message, { originalError: new ChatError('BAD_USER_INPUT', message) });
}

/** By document, which the parser's cache makes one object for one text: most have none, and cost no more than this. */
const known = new WeakMap<DocumentNode, boolean>();

/** Whether a list in the document is as long as it turns out to be. */
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
