import {
  type FieldNode,
  type GraphQLNamedType,
  type GraphQLResolveInfo,
  getArgumentValues,
  getNamedType,
  isInterfaceType,
  isObjectType,
  Kind,
  type OperationDefinitionNode,
  OperationTypeNode,
  type SelectionSetNode,
} from 'graphql';
import type { Context } from './builder.js';

/**
 * Every list that is not paged, so that nobody can know its length before it is looked up. None holds more than the members
 * of one room, but `members(includeLeft: true)`, which only what it costs bounds.
 */
export const unpagedLists: ReadonlySet<string> = new Set([
  'Message.readBy',
  'Room.members',
  'Room.typing',
  'SystemNotice.users',
  'TypingState.users',
]);

/** An operation pays for so many entries of each list before it is executed, and for the others when they are counted. */
export const prepaidEntries = 10;
/** Of each further entry, beside what is selected of it: it is looked up. */
export const priceOfEntry = 1;

/** All members of a room with so many fields of each can always be had, however large rooms may be. */
const fieldsOfEachMember = 5;

/** The most fields that one operation of this type may touch, or one event, with all that its lists hold. */
export function maxPriceOf(operation: OperationTypeNode, { deps }: Context): number {
  const { maxComplexity, maxEventComplexity, maxRoomMembers } = deps.limits;
  const max = operation === OperationTypeNode.SUBSCRIPTION ? maxEventComplexity : maxComplexity;
  const ofAllMembers = fieldsOfEachMember * maxRoomMembers;
  if (ofAllMembers > max) return ofAllMembers;
  return max;
}

/** What a price depends on beside the selection. */
export interface Pricing extends Pick<GraphQLResolveInfo, 'schema' | 'fragments' | 'variableValues'> {
  readonly context: Context;
  /** Of each list that is not paged. */
  readonly entries: number;
}

/** How many fields a selection touches: as the complexity plugin counts before the execution, with `entries` in each list. */
export function priceOf(type: GraphQLNamedType, selections: readonly SelectionSetNode[], pricing: Pricing): number {
  const known = new Map<SelectionSetNode, number>();
  const priceOfSet = (parent: GraphQLNamedType, set: SelectionSetNode): number => {
    let price = known.get(set);
    if (price === undefined) {
      price = 0;
      for (const selection of set.selections) {
        if (selection.kind === Kind.FIELD) {
          price += priceOfField(parent, selection);
          continue;
        }
        const fragment = selection.kind === Kind.FRAGMENT_SPREAD ? pricing.fragments[selection.name.value] : selection;
        const condition = fragment?.typeCondition;
        const inner = condition == null ? parent : pricing.schema.getType(condition.name.value);
        if (fragment !== undefined && inner !== undefined) price += priceOfSet(inner, fragment.selectionSet);
      }
      known.set(set, price);
    }
    return price;
  };
  const priceOfField = (parent: GraphQLNamedType, node: FieldNode): number => {
    const field = isObjectType(parent) || isInterfaceType(parent) ? parent.getFields()[node.name.value] : undefined;
    // Introspection of a type's name.
    if (field === undefined) return 1;
    const given = field.extensions.complexity as Complexity | ComplexityOfArguments;
    const own =
      typeof given === 'function'
        ? given(getArgumentValues(field, node, pricing.variableValues), pricing.context)
        : given;
    const { field: price = 1, multiplier = 1 } = typeof own === 'number' ? { field: own } : own;
    const isUnpaged = unpagedLists.has(`${parent.name}.${field.name}`);
    const entries = isUnpaged ? pricing.entries : Math.max(multiplier, 0);
    const inner = node.selectionSet;
    if (inner === undefined) return price;
    const looked = isUnpaged ? entries - prepaidEntries : 0;
    return price + entries * priceOfSet(getNamedType(field.type), inner) + Math.max(looked, 0) * priceOfEntry;
  };
  return selections.reduce((sum, set) => sum + priceOfSet(type, set), 0);
}

/** The same for all that an operation selects. */
export function priceOfOperation({ operation, selectionSet }: OperationDefinitionNode, pricing: Pricing): number {
  const root = pricing.schema.getRootType(operation);
  if (root == null) throw new Error(`The schema has no ${operation}`);
  return priceOf(root, [selectionSet], pricing);
}

type Complexity = number | { readonly field?: number; readonly multiplier?: number };
type ComplexityOfArguments = (args: Record<string, unknown>, context: Context) => Complexity;
