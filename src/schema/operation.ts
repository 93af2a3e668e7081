import {
  type DocumentNode,
  type ExecutionArgs,
  type FieldNode,
  type FragmentDefinitionNode,
  type FragmentSpreadNode,
  type GraphQLField,
  type GraphQLNamedType,
  type GraphQLResolveInfo,
  getOperationAST,
  getVariableValues,
  type InlineFragmentNode,
  isInterfaceType,
  isObjectType,
  Kind,
  type OperationDefinitionNode,
  type SelectionSetNode,
} from 'graphql';

/** An operation as it is asked for: what its resolvers find in their `info`. */
export type Operation = Pick<GraphQLResolveInfo, 'schema' | 'operation' | 'fragments' | 'variableValues'>;

/** By the variables as they are given: the operation is looked at several times before it is executed. */
const asked = new WeakMap<object, { readonly node: OperationDefinitionNode; readonly found: Operation | null }>();

/** Null where there is none, or its variables do not fit: that is refused where it is executed. */
export function findOperation(args: ExecutionArgs): Operation | null {
  const node = getOperationAST(args.document, args.operationName);
  if (node == null) return null;
  const given = args.variableValues ?? {};
  const known = asked.get(given);
  if (known?.node === node) return known.found;
  const found = coerce(node, args, given);
  asked.set(given, { node, found });
  return found;
}

function coerce(
  operation: OperationDefinitionNode,
  { schema, document }: ExecutionArgs,
  given: Readonly<Record<string, unknown>>,
): Operation | null {
  const definitions = operation.variableDefinitions ?? [];
  const { coerced } = getVariableValues(schema, definitions, given, { maxErrors: 1 });
  return coerced === undefined
    ? null
    : { schema, operation, fragments: fragmentsOf(document), variableValues: coerced };
}

type Fragments = Readonly<Record<string, FragmentDefinitionNode>>;

/** By document, which the parser's cache makes one object for one text. */
const known = new WeakMap<DocumentNode, Fragments>();

function fragmentsOf(document: DocumentNode): Fragments {
  let fragments = known.get(document);
  if (fragments === undefined) {
    const definitions = document.definitions.filter((node) => node.kind === Kind.FRAGMENT_DEFINITION);
    fragments = Object.fromEntries(definitions.map((node) => [node.name.value, node]));
    known.set(document, fragments);
  }
  return fragments;
}

/** Undefined where it is introspection. */
export const findField = (
  parent: GraphQLNamedType | undefined,
  { name }: FieldNode,
): GraphQLField<unknown, unknown> | undefined =>
  isObjectType(parent) || isInterfaceType(parent) ? parent.getFields()[name.value] : undefined;

/** The selection that is written in a fragment, with the type that it is of. */
export function findFragment(
  parent: GraphQLNamedType | undefined,
  selection: InlineFragmentNode | FragmentSpreadNode,
  { schema, fragments }: Pick<Operation, 'schema' | 'fragments'>,
): { readonly type: GraphQLNamedType | undefined; readonly selectionSet: SelectionSetNode } | undefined {
  const fragment = selection.kind === Kind.FRAGMENT_SPREAD ? fragments[selection.name.value] : selection;
  if (fragment === undefined) return undefined;
  const { typeCondition, selectionSet } = fragment;
  return { type: typeCondition === undefined ? parent : schema.getType(typeCondition.name.value), selectionSet };
}
