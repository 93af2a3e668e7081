import {
  type ArgumentNode,
  type DefinitionNode,
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  GraphQLError,
  Kind,
  type SelectionSetNode,
} from 'graphql';

/** In a normal document each field counts about 1, and fields that fragments repeat a little more: some hundreds in total. */
const maxOverlap = 5_000;
/** Selections and tokens of arguments, with fragments expanded. */
const maxVisits = 10_000;

/** A selection set and the fragments from which it was expanded. */
interface Branch {
  readonly selectionSet: SelectionSetNode;
  readonly within: Spread | undefined;
}

interface Spread {
  readonly name: string;
  readonly outer: Spread | undefined;
}

/** Fields with the same response name at the same place. */
interface Overlap {
  count: number;
  /** Fields and the tokens of their arguments. */
  weight: number;
  readonly inner: Branch[];
}

/** The counts so far. */
interface Tally {
  overlap: number;
  visits: number;
}

/**
 * The error of a document in which too many fields have the same response name at the same place. graphql compares each pair
 * of them, with fragments expanded and arguments printed: 200 fields make 20,000 pairs. This check takes less than a
 * millisecond.
 */
export function findOverlaps(document: DocumentNode): GraphQLError | undefined {
  const fragments = new Map(document.definitions.filter(isFragment).map((node) => [node.name.value, node]));
  const reached = new Set<string>();
  const tally: Tally = { overlap: 0, visits: 0 };
  const walk = (root: Branch) => {
    const pending: (readonly Branch[])[] = [[root]];
    for (let branches = pending.pop(); branches !== undefined; branches = pending.pop()) {
      if (isTooMuch(tally)) return;
      for (const { inner } of merge(branches, { fragments, reached, tally })) if (inner.length > 0) pending.push(inner);
    }
  };
  for (const node of document.definitions) {
    if (node.kind === Kind.OPERATION_DEFINITION) walk({ selectionSet: node.selectionSet, within: undefined });
  }
  // graphql compares fragments that no operation uses as well.
  for (const [name, { selectionSet }] of fragments) {
    if (!reached.has(name)) walk({ selectionSet, within: { name, outer: undefined } });
  }
  return isTooMuch(tally)
    ? new GraphQLError('The document selects the same fields, or spreads fragments, too often at one place')
    : undefined;
}

const isFragment = (node: DefinitionNode): node is FragmentDefinitionNode => node.kind === Kind.FRAGMENT_DEFINITION;

const isTooMuch = ({ overlap, visits }: Tally): boolean => overlap > maxOverlap || visits > maxVisits;

interface Merging {
  readonly fragments: ReadonlyMap<string, FragmentDefinitionNode>;
  readonly reached: Set<string>;
  readonly tally: Tally;
}

/** Merges the branches as if they were one selection set. */
function merge(branches: readonly Branch[], { fragments, reached, tally }: Merging): Iterable<Overlap> {
  const overlaps = new Map<string, Overlap>();
  const pending = [...branches];
  let spreads = 0;
  for (let branch = pending.pop(); branch !== undefined && tally.visits <= maxVisits; branch = pending.pop()) {
    const { selectionSet, within } = branch;
    for (const selection of selectionSet.selections) {
      tally.visits += 1;
      if (selection.kind === Kind.FIELD) {
        tally.visits += addField(overlaps, selection, within);
      } else if (selection.kind === Kind.INLINE_FRAGMENT) {
        pending.push({ selectionSet: selection.selectionSet, within });
      } else {
        spreads += 1;
        const name = selection.name.value;
        const fragment = fragments.get(name);
        reached.add(name);
        // Another rule refuses a fragment that spreads itself.
        if (fragment === undefined || isWithin(within, name)) continue;
        pending.push({ selectionSet: fragment.selectionSet, within: { name, outer: within } });
      }
    }
  }
  for (const { count, weight } of overlaps.values()) tally.overlap += count * weight;
  tally.overlap += spreads * spreads;
  return overlaps.values();
}

/** Returns the number of tokens in the arguments, which graphql prints for the comparison. */
function addField(
  overlaps: Map<string, Overlap>,
  { alias, name, arguments: given = [], selectionSet }: FieldNode,
  within: Spread | undefined,
): number {
  const tokens = countTokens(given);
  const key = (alias ?? name).value;
  let overlap = overlaps.get(key);
  if (overlap === undefined) {
    overlap = { count: 0, weight: 0, inner: [] };
    overlaps.set(key, overlap);
  }
  overlap.count += 1;
  overlap.weight += 1 + tokens;
  if (selectionSet !== undefined) overlap.inner.push({ selectionSet, within });
  return tokens;
}

function countTokens(given: readonly ArgumentNode[]): number {
  const last = given.at(-1)?.loc?.endToken;
  let tokens = 0;
  for (let token = given[0]?.loc?.startToken; token != null; token = token.next ?? undefined) {
    tokens += 1;
    if (token === last) break;
  }
  return tokens;
}

function isWithin(spread: Spread | undefined, name: string): boolean {
  for (let known = spread; known !== undefined; known = known.outer) if (known.name === name) return true;
  return false;
}
