import {
  type ASTNode,
  BREAK,
  type DocumentNode,
  type FragmentDefinitionNode,
  Kind,
  type OperationDefinitionNode,
  OperationTypeNode,
  type SelectionSetNode,
  visit,
} from 'graphql';

/**
 * What is compiled becomes JavaScript, and anybody with a token writes documents. So a document has to consist of names,
 * numbers and structure alone, with all else in variables:
 * - No text: graphql-jit puts literals into its code, and has words that it makes into expressions there.
 * - No directives: it notes conditions in the document itself, where they hold for another use of the same fragment too.
 * - No defaults of variables: a null in their place reaches what must not be null.
 * - One operation, and one field where it is a mutation: the next would be done although the first had failed.
 * - Short names, and no underscores in aliases: each name is repeated below it, and paths are told apart by underscores.
 */
const kinds: ReadonlySet<string> = new Set([
  Kind.DOCUMENT,
  Kind.OPERATION_DEFINITION,
  Kind.FRAGMENT_DEFINITION,
  Kind.NAME,
  Kind.VARIABLE_DEFINITION,
  Kind.VARIABLE,
  Kind.NAMED_TYPE,
  Kind.LIST_TYPE,
  Kind.NON_NULL_TYPE,
  Kind.SELECTION_SET,
  Kind.FIELD,
  Kind.ARGUMENT,
  Kind.FRAGMENT_SPREAD,
  Kind.INLINE_FRAGMENT,
  Kind.INT,
  Kind.BOOLEAN,
  Kind.ENUM,
]);

const maxNameLength = 64;
const maxSelections = 1_000;

export interface Compilable {
  readonly operation: OperationDefinitionNode;
  /** How many there are with fragments written out, which compiling does: what it weighs. */
  readonly selections: number;
}

const known = new WeakMap<DocumentNode, Compilable | null>();

/** What there is to compile in a document that is safe to compile, and right then; null of any other. It is valid. */
export function findCompilable(document: DocumentNode): Compilable | null {
  let found = known.get(document);
  if (found === undefined) {
    found = look(document);
    known.set(document, found);
  }
  return found;
}

function look(document: DocumentNode): Compilable | null {
  const operations = document.definitions.filter(({ kind }) => kind === Kind.OPERATION_DEFINITION);
  const [operation, ...others] = operations as OperationDefinitionNode[];
  if (operation === undefined || others.length > 0 || !consistsOfKnown(document)) return null;
  if (operation.operation === OperationTypeNode.MUTATION && !hasOneField(operation)) return null;
  const selections = countSelections(operation.selectionSet, fragmentsOf(document), new Map());
  return selections <= maxSelections ? { operation, selections } : null;
}

const hasOneField = ({ selectionSet: { selections } }: OperationDefinitionNode): boolean =>
  selections.length === 1 && selections[0]?.kind === Kind.FIELD;

function consistsOfKnown(document: DocumentNode): boolean {
  let isKnown = true;
  visit(document, {
    enter: (node) => {
      if (isFit(node)) return undefined;
      isKnown = false;
      return BREAK;
    },
  });
  return isKnown;
}

function isFit(node: ASTNode): boolean {
  if (node.kind === Kind.NAME) return isFitName(node.value);
  if (node.kind === Kind.FIELD && node.alias?.value.includes('_') === true) return false;
  return kinds.has(node.kind) && (node.kind !== Kind.VARIABLE_DEFINITION || node.defaultValue === undefined);
}

/** Names like __proto__ mean something in JavaScript. */
const isFitName = (name: string): boolean =>
  name.length <= maxNameLength && (!name.startsWith('__') || name === '__typename');

const fragmentsOf = ({ definitions }: DocumentNode): Map<string, FragmentDefinitionNode> =>
  new Map(
    definitions.flatMap((definition) =>
      definition.kind === Kind.FRAGMENT_DEFINITION ? [[definition.name.value, definition]] : [],
    ),
  );

/** Each fragment is counted once, and as often as it is spread: fragments that spread each other double at each step. */
function countSelections(
  { selections }: SelectionSetNode,
  fragments: ReadonlyMap<string, FragmentDefinitionNode>,
  counted: Map<string, number>,
): number {
  let count = 0;
  for (const selection of selections) {
    count += 1;
    if (selection.kind !== Kind.FRAGMENT_SPREAD) {
      if (selection.selectionSet !== undefined) count += countSelections(selection.selectionSet, fragments, counted);
      continue;
    }
    const name = selection.name.value;
    const fragment = fragments.get(name);
    if (fragment !== undefined && !counted.has(name)) {
      counted.set(name, countSelections(fragment.selectionSet, fragments, counted));
    }
    count += counted.get(name) ?? 0;
  }
  return count;
}
