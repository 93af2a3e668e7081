import {
  type DocumentNode,
  type FragmentDefinitionNode,
  getOperationAST,
  Kind,
  type OperationDefinitionNode,
  type SelectionSetNode,
} from 'graphql';

/** Keyed by operation; the parser's cache returns the same object for the same text. */
const counts = new WeakMap<OperationDefinitionNode, number>();

/** The number of root fields of the operation, at least 1. Each takes a database statement or more. */
export function countRootFields(document: DocumentNode, operationName: string | null | undefined): number {
  const operation = getOperationAST(document, operationName);
  if (operation == null) return 1;
  let count = counts.get(operation);
  if (count === undefined) {
    count = Math.max(1, countFields(operation.selectionSet, document, new Map()));
    counts.set(operation, count);
  }
  return count;
}

/** Measures each fragment once and adds it for each spread. Validation refuses a fragment that spreads itself. */
function countFields({ selections }: SelectionSetNode, document: DocumentNode, fragments: Map<string, number>): number {
  let count = 0;
  for (const selection of selections) {
    if (selection.kind === Kind.FIELD) count += 1;
    else if (selection.kind === Kind.INLINE_FRAGMENT) count += countFields(selection.selectionSet, document, fragments);
    else count += countFragment(selection.name.value, document, fragments);
  }
  return count;
}

function countFragment(name: string, document: DocumentNode, fragments: Map<string, number>): number {
  const known = fragments.get(name);
  if (known !== undefined) return known;
  fragments.set(name, 0);
  const fragment = document.definitions.find(
    (definition): definition is FragmentDefinitionNode =>
      definition.kind === Kind.FRAGMENT_DEFINITION && definition.name.value === name,
  );
  const count = fragment === undefined ? 0 : countFields(fragment.selectionSet, document, fragments);
  fragments.set(name, count);
  return count;
}
