import { shouldIncludeNode } from '@graphql-tools/utils';
import {
  type DocumentNode,
  type ExecutionArgs,
  type FieldNode,
  type FragmentDefinitionNode,
  GraphQLError,
  type GraphQLField,
  type GraphQLSchema,
  getArgumentValues,
  getOperationAST,
  getVariableValues,
  Kind,
  type OperationDefinitionNode,
  TypeInfo,
  visit,
  visitWithTypeInfo,
} from 'graphql';
import { ChatError } from '../domain/errors.js';
import type { Limits } from '../resolvers/deps.js';
import type { Context } from './builder.js';

/** @throws {ChatError} BAD_USER_INPUT that says what is wrong with the arguments of a field */
export type CheckArguments<Arguments> = (args: Arguments, limits: Limits) => void;

/**
 * Has a field's arguments checked before anything is executed. A field that refuses them when it is executed takes with it what
 * is around it, up to the nearest that may be null: a room whose page is too large would look like none, and a mutation
 * would be done and not answered.
 */
export const checked = <Arguments>(check: CheckArguments<Arguments>) => ({ extensions: { checkArguments: check } });

type Check = CheckArguments<Record<string, unknown>>;

const checkOf = (field: GraphQLField<unknown, unknown> | null | undefined): Check | undefined =>
  field?.extensions.checkArguments as Check | undefined;

/** The first argument of a checked field that is out of bounds; fields that are skipped are left out. Null where all is well. */
export function findBadArgument(args: ExecutionArgs): GraphQLError | null {
  const { schema, document, operationName, variableValues, contextValue } = args;
  if (!hasChecks(schema, document)) return null;
  const operation = getOperationAST(document, operationName);
  if (operation == null) return null;
  const { coerced } = getVariableValues(schema, operation.variableDefinitions ?? [], variableValues ?? {}, {
    maxErrors: 1,
  });
  // What does not fit is refused where it is executed.
  if (coerced === undefined) return null;
  const { limits } = (contextValue as Context).deps;
  let found: GraphQLError | null = null;
  forEachField({ schema, document, operation, variables: coerced }, (field, node) => {
    found ??= refusalOf(field, node, coerced, limits);
  });
  return found;
}

function refusalOf(
  field: GraphQLField<unknown, unknown>,
  node: FieldNode,
  variables: Record<string, unknown>,
  limits: Limits,
): GraphQLError | null {
  const check = checkOf(field);
  if (check === undefined) return null;
  try {
    check(getArgumentValues(field, node, variables), limits);
    return null;
  } catch (error) {
    // All else is refused where it is executed.
    return error instanceof ChatError ? new GraphQLError(error.message, { nodes: node, originalError: error }) : null;
  }
}

/** By document, which the parser's cache makes one object for one text: most have none, and cost no more than this. */
const known = new WeakMap<DocumentNode, boolean>();

function hasChecks(schema: GraphQLSchema, document: DocumentNode): boolean {
  let isFound = known.get(document);
  if (isFound === undefined) {
    isFound = false;
    const types = new TypeInfo(schema);
    const visitor = {
      Field: () => {
        if (checkOf(types.getFieldDef()) !== undefined) isFound = true;
      },
    };
    visit(document, visitWithTypeInfo(types, visitor));
    known.set(document, isFound);
  }
  return isFound;
}

interface Walk {
  readonly schema: GraphQLSchema;
  readonly document: DocumentNode;
  readonly operation: OperationDefinitionNode;
  readonly variables: Record<string, unknown>;
}

/** Those of the operation and of the fragments that it spreads, each of these once; what is skipped is left out. */
function forEachField(
  { schema, document, operation, variables }: Walk,
  tell: (field: GraphQLField<unknown, unknown>, node: FieldNode) => void,
): void {
  const types = new TypeInfo(schema);
  const due = new Set<OperationDefinitionNode | FragmentDefinitionNode>([operation]);
  const visitor = visitWithTypeInfo(types, {
    enter(node) {
      if (node.kind === Kind.FIELD || node.kind === Kind.INLINE_FRAGMENT || node.kind === Kind.FRAGMENT_SPREAD) {
        if (!shouldIncludeNode(variables, node)) return false;
      }
      if (node.kind === Kind.FRAGMENT_SPREAD) {
        const fragment = document.definitions.find(
          (definition) => definition.kind === Kind.FRAGMENT_DEFINITION && definition.name.value === node.name.value,
        );
        if (fragment !== undefined) due.add(fragment as FragmentDefinitionNode);
      }
      const field = node.kind === Kind.FIELD ? types.getFieldDef() : undefined;
      if (field != null && node.kind === Kind.FIELD) tell(field, node);
      return undefined;
    },
  });
  // A set goes on with what is added on the way.
  for (const definition of due) visit(definition, visitor);
}
