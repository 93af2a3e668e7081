import {
  type DocumentNode,
  type GraphQLSchema,
  getOperationAST,
  Kind,
  type OperationDefinitionNode,
  TypeInfo,
  visit,
  visitWithTypeInfo,
} from 'graphql';

/** Marks a field whose value differs between viewers with access: `t.string({ ...ofViewer, ... })`. */
export const ofViewer = { extensions: { ofViewer: true } } as const;

/** The inputs other than the event itself on which an event's result and its price depend. */
export interface EventsDependOn {
  readonly viewer: boolean;
  readonly variables: readonly string[];
}

export function findWhatEventsDependOn(
  schema: GraphQLSchema,
  document: DocumentNode,
  operationName?: string | null,
): EventsDependOn {
  const operation = getOperationAST(document, operationName);
  if (operation == null) return { viewer: true, variables: [] };
  return {
    viewer: hasViewerFields(schema, document, operation),
    variables: [...findVariables(document, operation)],
  };
}

function hasViewerFields(schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode): boolean {
  const types = new TypeInfo(schema);
  let isFound = false;
  const visitor = visitWithTypeInfo(types, {
    Field: () => {
      if (types.getFieldDef()?.extensions.ofViewer === true) isFound = true;
    },
  });
  visit(operation, visitor);
  for (const definition of document.definitions) {
    if (definition.kind === Kind.FRAGMENT_DEFINITION) visit(definition, visitor);
  }
  return isFound;
}

/** The variables that the selection uses. Arguments of the subscription field only decide which events there are. */
function findVariables(document: DocumentNode, operation: OperationDefinitionNode): Set<string> {
  const names = new Set<string>();
  const collect = { Variable: ({ name }: { name: { value: string } }) => void names.add(name.value) };
  for (const root of operation.selectionSet.selections) {
    if (root.kind === Kind.FIELD) visit({ ...root, arguments: [] }, collect);
    else visit(root, collect);
  }
  for (const definition of document.definitions) {
    if (definition.kind === Kind.FRAGMENT_DEFINITION) visit(definition, collect);
  }
  return names;
}
