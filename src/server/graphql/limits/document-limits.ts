import {
  type ASTVisitor,
  type FragmentDefinitionNode,
  GraphQLError,
  Kind,
  type SelectionSetNode,
  type ValidationContext,
  type ValidationRule,
} from 'graphql';

export interface DocumentLimits {
  /** Fields within fields. */
  readonly maxDepth: number;
  /** Aliases, counted again wherever a fragment is spread. */
  readonly maxAliases: number;
}

/** Limits that are checked before and during parsing. */
export interface TextLimits {
  /** In UTF-16 units. */
  readonly maxDocumentLength: number;
  readonly maxDocumentLines: number;
  readonly maxTokens: number;
}

const lineEnd = /\r\n|[\n\r]/;

/**
 * Limits length and lines, because graphql counts the lines up to each mistake.
 * @throws {GraphQLError} if the document is too long to be parsed
 */
export function assertReadable(text: string, { maxDocumentLength, maxDocumentLines }: TextLimits): void {
  if (text.length > maxDocumentLength) {
    throw new GraphQLError(`The document has ${text.length} characters; at most ${maxDocumentLength} are allowed`);
  }
  if (text.split(lineEnd, maxDocumentLines + 1).length > maxDocumentLines) {
    throw new GraphQLError(`The document has more than ${maxDocumentLines} lines`);
  }
}

/**
 * A validation rule that refuses documents with too much depth or too many aliases, with fragments expanded. Introspection
 * fields do not count toward the depth: the introspection query is deeper than any normal one, and graphql limits it itself.
 */
export const createDocumentLimits =
  ({ maxDepth, maxAliases }: DocumentLimits): ValidationRule =>
  (context): ASTVisitor => ({
    OperationDefinition(operation) {
      const { depth, aliases } = measure(operation.selectionSet, context, new Map());
      if (depth > maxDepth)
        refuse(context, `The operation nests ${depth} fields deep; at most ${maxDepth} are allowed`);
      if (aliases > maxAliases)
        refuse(context, `The operation has ${aliases} aliases; at most ${maxAliases} are allowed`);
    },
  });

interface Size {
  readonly depth: number;
  readonly aliases: number;
}

const nothing: Size = { depth: 0, aliases: 0 };

/** Measures each fragment once. A fragment that spreads itself counts as 0 here; another rule refuses it. */
function measure(selections: SelectionSetNode, context: ValidationContext, fragments: Map<string, Size>): Size {
  let depth = 0;
  let aliases = 0;
  for (const selection of selections.selections) {
    let size = nothing;
    if (selection.kind === Kind.FIELD) {
      const inner =
        selection.selectionSet === undefined ? nothing : measure(selection.selectionSet, context, fragments);
      size = {
        depth: selection.name.value.startsWith('__') ? 0 : inner.depth + 1,
        aliases: inner.aliases + (selection.alias === undefined ? 0 : 1),
      };
    } else if (selection.kind === Kind.INLINE_FRAGMENT) {
      size = measure(selection.selectionSet, context, fragments);
    } else {
      size = measureFragment(context.getFragment(selection.name.value), context, fragments);
    }
    depth = Math.max(depth, size.depth);
    aliases += size.aliases;
  }
  return { depth, aliases };
}

function measureFragment(
  fragment: FragmentDefinitionNode | null | undefined,
  context: ValidationContext,
  fragments: Map<string, Size>,
): Size {
  if (fragment == null) return nothing;
  const name = fragment.name.value;
  const known = fragments.get(name);
  if (known !== undefined) return known;
  fragments.set(name, nothing);
  const size = measure(fragment.selectionSet, context, fragments);
  fragments.set(name, size);
  return size;
}

const refuse = (context: ValidationContext, message: string): void => context.reportError(new GraphQLError(message));
