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

/** The operation of a request, as its resolvers see it in their `info`. */
export type Operation = Pick<GraphQLResolveInfo, 'schema' | 'operation' | 'fragments' | 'variableValues'>;

/** Keyed by the request's variables: an operation is looked up several times before it is executed. */
const asked = new WeakMap<object, { readonly node: OperationDefinitionNode; readonly found: Operation | null }>();

/** Null if there is no such operation or its variables are invalid: execution reports that. */
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

/** Keyed by document; the parser's cache returns the same object for the same text. */
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

/** Undefined for introspection fields. */
export const findField = (
  parent: GraphQLNamedType | undefined,
  { name }: FieldNode,
): GraphQLField<unknown, unknown> | undefined =>
  isObjectType(parent) || isInterfaceType(parent) ? parent.getFields()[name.value] : undefined;

/** The selection set of a fragment, and the type that it applies to. */
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
