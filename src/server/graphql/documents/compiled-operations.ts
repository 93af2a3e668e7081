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

/** Undefined where the operation is interpreted. */
export const findCompiled = (operation: OperationDefinitionNode): CompiledQuery['query'] | undefined =>
  compiled.get(operation);

/**
 * Makes JavaScript of the operations of a valid document. It runs with the rights of the server, so only documents that the
 * operator has registered come here. Returns the operations that stay interpreted.
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

/** Whether graphql-jit returns for it what graphql returns. */
function isSuitable(document: DocumentNode, { operation, selectionSet }: OperationDefinitionNode): boolean {
  const [first, ...others] = selectionSet.selections;
  // It goes on with the next change where one has failed.
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
  // Conditions are noted in the nodes of a fragment, and hold for its other spreads too.
  if (node.kind === Kind.DIRECTIVE) return true;
  // A null in place of a default reaches arguments that must not be null.
  if (node.kind === Kind.VARIABLE_DEFINITION) return node.defaultValue !== undefined;
  // Some texts are expressions in its code.
  if (node.kind === Kind.STRING) return true;
  // Paths are told apart by underscores.
  if (node.kind === Kind.FIELD && node.alias?.value.includes('_') === true) return true;
  // Names like __proto__ mean something in JavaScript, and introspection is no hot path.
  return node.kind === Kind.NAME && node.value.startsWith('__') && node.value !== '__typename';
}
