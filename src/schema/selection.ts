import { collectSubFields } from '@graphql-tools/utils';
import { type FieldNode, type GraphQLResolveInfo, getNamedType, isObjectType } from 'graphql';

/**
 * Those of the fields that are selected of a connection's nodes, so that they are read in one statement with them. What
 * is selected with arguments is left out: it may be something else.
 */
export function findNodeParts<Part extends string>(info: GraphQLResolveInfo, parts: readonly Part[]): Part[] {
  const { schema, fragments, variableValues } = info;
  let type = getNamedType(info.returnType);
  let nodes: readonly FieldNode[] = info.fieldNodes;
  const select = (): FieldNode[] =>
    isObjectType(type)
      ? [...collectSubFields(schema, fragments, variableValues, type, [...nodes]).fields.values()].flat()
      : [];
  for (const name of ['edges', 'node']) {
    nodes = select().filter((node) => node.name.value === name);
    const field = isObjectType(type) ? type.getFields()[name] : undefined;
    if (field !== undefined) type = getNamedType(field.type);
  }
  const selected = select().filter((node) => node.arguments === undefined || node.arguments.length === 0);
  return parts.filter((part) => selected.some((node) => node.name.value === part));
}
