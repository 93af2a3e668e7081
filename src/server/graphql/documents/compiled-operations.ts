import {
  type ASTNode,
  BREAK,
  type DocumentNode,
  type GraphQLSchema,
  Kind,
  type OperationDefinitionNode,
  OperationTypeNode,
  separateOperations,
  visit,
} from 'graphql';
import { type CompiledQuery, compileQuery, isCompiledQuery } from 'graphql-jit';

const compiled = new WeakMap<OperationDefinitionNode, CompiledQuery['query']>();

/** Returns undefined if the operation is interpreted. */
export const findCompiled = (operation: OperationDefinitionNode): CompiledQuery['query'] | undefined =>
  compiled.get(operation);

/**
 * Compiles the operations of a valid document to JavaScript, which runs with the rights of the server: only call this for
 * registered documents. Returns the operations that stay interpreted.
 */
export function compileOperations(schema: GraphQLSchema, document: DocumentNode): OperationDefinitionNode[] {
  const interpreted: OperationDefinitionNode[] = [];
  for (const alone of Object.values(separateOperations(document))) {
    const operation = alone.definitions.find((node) => node.kind === Kind.OPERATION_DEFINITION);
    if (operation === undefined) continue;
    const result = isSuitable(alone, operation) ? compileQuery(schema, alone) : undefined;
    if (result !== undefined && isCompiledQuery(result)) compiled.set(operation, result.query);
    else interpreted.push(operation);
  }
  return interpreted;
}

/** Whether graphql-jit returns the same results as graphql for the operation. */
function isSuitable(document: DocumentNode, { operation, selectionSet }: OperationDefinitionNode): boolean {
  const [first, ...others] = selectionSet.selections;
  // graphql-jit runs the next mutation after one has failed.
  if (operation === OperationTypeNode.MUTATION && (others.length > 0 || first?.kind !== Kind.FIELD)) return false;
  let isFit = true;
  visit(document, {
    enter: (node) => {
      if (!isDifferent(node)) return undefined;
      isFit = false;
      return BREAK;
    },
  });
  return isFit;
}

function isDifferent(node: ASTNode): boolean {
  // graphql-jit stores conditions in the nodes of a fragment, where they also apply to its other spreads.
  if (node.kind === Kind.DIRECTIVE) return true;
  // graphql-jit passes a null instead of the default to arguments that must not be null.
  if (node.kind === Kind.VARIABLE_DEFINITION) return node.defaultValue !== undefined;
  // Some strings become expressions in the generated code.
  if (node.kind === Kind.STRING) return true;
  // The generated code joins the parts of paths with underscores.
  if (node.kind === Kind.FIELD && node.alias?.value.includes('_') === true) return true;
  // Names like __proto__ have a meaning in JavaScript, and introspection need not be fast.
  return node.kind === Kind.NAME && node.value.startsWith('__') && node.value !== '__typename';
}
