import {
  type ASTVisitor,
  GraphQLError,
  Kind,
  OperationTypeNode,
  type SelectionSetNode,
  type ValidationContext,
} from 'graphql';

/**
 * A validation rule of the GraphQL specification that graphql lacks: a subscription must have its one root field for any
 * variables, so @skip and @include are forbidden on it and on a fragment around it.
 */
export const constantSubscriptionRoot = (context: ValidationContext): ASTVisitor => ({
  OperationDefinition({ operation, selectionSet }) {
    if (operation === OperationTypeNode.SUBSCRIPTION) refuseConditions(context, selectionSet, new Set());
  },
});

function refuseConditions(context: ValidationContext, { selections }: SelectionSetNode, spread: Set<string>): void {
  for (const selection of selections) {
    const condition = selection.directives?.find(({ name }) => name.value === 'skip' || name.value === 'include');
    if (condition !== undefined) {
      const message = `@${condition.name.value} must not be used on the root field of a subscription`;
      context.reportError(new GraphQLError(message, { nodes: condition }));
    }
    if (selection.kind === Kind.INLINE_FRAGMENT) refuseConditions(context, selection.selectionSet, spread);
    if (selection.kind !== Kind.FRAGMENT_SPREAD || spread.has(selection.name.value)) continue;
    spread.add(selection.name.value);
    const fragment = context.getFragment(selection.name.value);
    if (fragment != null) refuseConditions(context, fragment.selectionSet, spread);
  }
}
