import {
  type DocumentNode,
  type ExecutionArgs,
  type FragmentDefinitionNode,
  GraphQLError,
  type GraphQLSchema,
  getOperationAST,
  getVariableValues,
  Kind,
  OperationTypeNode,
  TypeInfo,
  visit,
  visitWithTypeInfo,
} from 'graphql';
import { ChatError } from '../domain/errors.js';
import type { Context } from './builder.js';
import { maxPriceOf, prepaidEntries, priceOfOperation, unpagedLists } from './price.js';

/** How many fields the operation may touch, or one event, with what it pays for in advance of its lists. */
export const complexityOf = (args: ExecutionArgs): number => priceOf(args, prepaidEntries);

/** The same where each of those lists has all members of a room. */
export const mostComplexityOf = (args: ExecutionArgs): number =>
  priceOf(args, (args.contextValue as Context).deps.limits.maxRoomMembers);

/** The same with so many entries in each of those lists. */
function priceOf({ schema, document, operationName, variableValues, contextValue }: ExecutionArgs, entries: number) {
  const operation = getOperationAST(document, operationName);
  if (operation == null) return 0;
  const { coerced } = getVariableValues(schema, operation.variableDefinitions ?? [], variableValues ?? {});
  // What does not fit is refused where it is executed.
  if (coerced === undefined) return 0;
  const fragments: Record<string, FragmentDefinitionNode> = {};
  for (const definition of document.definitions) {
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments[definition.name.value] = definition;
  }
  const context = contextValue as Context;
  return priceOfOperation(operation, { schema, fragments, variableValues: coerced, context, entries });
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
  const originalError = new ChatError(
    'BAD_USER_INPUT',
    `The answer may touch ${price} fields where its lists have all members of a room; at most ${max} are allowed. Ask for a page (memberPage)`,
  );
  return new GraphQLError(originalError.message, { originalError });
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
