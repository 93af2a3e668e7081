import {
  type FieldNode,
  type GraphQLNamedType,
  getArgumentValues,
  getNamedType,
  isAbstractType,
  isObjectType,
  Kind,
  OperationTypeNode,
  type SelectionNode,
  type SelectionSetNode,
} from 'graphql';
import { maxAttachments } from '../domain/attachment.js';
import type { Context } from './context.js';
import { findField, findFragment, type Operation } from './operation.js';

/** An operation pays for this many entries of each list before execution, and for the rest when they are counted. */
export const prepaidEntries = 10;
/** The price of looking up one more entry. */
export const priceOfEntry = 1;

/**
 * Every list that is not paged, because its length is unknown before it is looked up, with the price of one more entry on top
 * of its selected fields. None is longer than a room has members, except `members(includeLeft: true)`, which only its price
 * limits. The members of MembersRead need no look-up: so an event with four fields of each member of the largest room
 * is allowed beside anything else that a subscription may select.
 */
export const unpagedLists: ReadonlyMap<string, number> = new Map([
  ['MembersRead.members', 0],
  ['Message.readBy', priceOfEntry],
  ['Room.members', priceOfEntry],
  ['Room.typing', priceOfEntry],
  ['SystemNotice.users', priceOfEntry],
  ['TypingState.users', priceOfEntry],
]);

/** Lists that are never longer than this, however large rooms may be: what is paid before execution is enough for them. */
export const boundedLists: ReadonlyMap<string, number> = new Map([
  ['CreateUploadPayload.headers', prepaidEntries],
  ['Message.attachments', maxAttachments],
]);

/** A query for all members of a room, with this many fields of each, is allowed however large rooms may be. */
const fieldsOfEachMember = 5;

/** The maximum number of fields that one operation of this type, or one event, may touch, including all list entries. */
export function maxPriceOf(operation: OperationTypeNode, { deps }: Pick<Context, 'deps'>): number {
  const { maxComplexity, maxEventComplexity, maxRoomMembers } = deps.limits;
  const max = operation === OperationTypeNode.SUBSCRIPTION ? maxEventComplexity : maxComplexity;
  const ofAllMembers = fieldsOfEachMember * maxRoomMembers;
  if (ofAllMembers > max) return ofAllMembers;
  return max;
}

export interface Pricing extends Operation {
  /** The assumed length of each list that is not paged. */
  readonly entries: number;
}

/**
 * How many fields a selection touches at most, counted like the complexity plugin does, with `entries` in each list that is not
 * paged. An object has one type only: of the selections on the types of an interface or union, the most expensive one counts.
 */
export function priceOf(type: GraphQLNamedType, selections: readonly SelectionSetNode[], pricing: Pricing): number {
  const given: Given = { variables: pricing.variableValues, entries: pricing.entries, known: new Map() };
  return selections.reduce((sum, set) => sum + evaluate(findPrice(type, set, pricing), given), 0);
}

/** The same for a whole operation. */
export function priceOfOperation(pricing: Pricing): number {
  const { schema, operation } = pricing;
  const root = schema.getRootType(operation.operation);
  if (root == null) throw new Error(`The schema has no ${operation.operation}`);
  return priceOf(root, [operation.selectionSet], pricing);
}

/** A number if it depends neither on arguments nor on the length of lists. */
type Price = number | ((given: Given) => number);

interface Given {
  readonly variables: Record<string, unknown>;
  readonly entries: number;
  /** The prices of fragments for one type: fragments that spread each other twice would double the work at each level. */
  readonly known: Map<Price, number>;
}

const nothing: Given = { variables: {}, entries: 0, known: new Map() };

const evaluate = (price: Price, given: Given): number => (typeof price === 'number' ? price : price(given));

/** Keyed by selection set and type; the parser's cache returns the same objects for the same text. */
const prices = new WeakMap<SelectionSetNode, Map<GraphQLNamedType, Price>>();

function findPrice(type: GraphQLNamedType, set: SelectionSetNode, operation: Operation): Price {
  const known = prices.get(set) ?? new Map<GraphQLNamedType, Price>();
  prices.set(set, known);
  let price = known.get(type);
  if (price === undefined) {
    price = isAbstractType(type)
      ? mostOf(operation.schema.getPossibleTypes(type).map((one) => findPrice(one, set, operation)))
      : sumOf(set.selections.map((selection) => priceOfSelection(type, selection, operation)));
    known.set(type, price);
  }
  return price;
}

function mostOf(prices: readonly Price[]): Price {
  const fixed = prices.reduce<number>((most, price) => (typeof price === 'number' ? Math.max(most, price) : most), 0);
  const others = prices.filter((price) => typeof price !== 'number');
  return others.length === 0
    ? fixed
    : (given) => others.reduce((most, price) => Math.max(most, evaluateOnce(price, given)), fixed);
}

function sumOf(summands: readonly Price[]): Price {
  const fixed = summands.reduce<number>((sum, price) => (typeof price === 'number' ? sum + price : sum), 0);
  const others = summands.filter((price) => typeof price !== 'number');
  return others.length === 0 ? fixed : (given) => others.reduce((sum, price) => sum + price(given), fixed);
}

function priceOfSelection(parent: GraphQLNamedType, selection: SelectionNode, operation: Operation): Price {
  if (selection.kind === Kind.FIELD) return priceOfField(parent, selection, operation);
  const fragment = findFragment(parent, selection, operation);
  if (fragment?.type === undefined || !isOf(parent, fragment.type, operation)) return 0;
  const price = findPrice(parent, fragment.selectionSet, operation);
  return typeof price === 'number' ? price : (given) => evaluateOnce(price, given);
}

/** Whether an object of this type also has the other type. */
const isOf = (type: GraphQLNamedType, other: GraphQLNamedType, { schema }: Operation): boolean =>
  type === other || (isObjectType(type) && isAbstractType(other) && schema.isSubType(other, type));

function evaluateOnce(price: Exclude<Price, number>, given: Given): number {
  let value = given.known.get(price);
  if (value === undefined) {
    value = evaluate(price, given);
    given.known.set(price, value);
  }
  return value;
}

function priceOfField(parent: GraphQLNamedType, node: FieldNode, operation: Operation): Price {
  const field = findField(parent, node);
  // `__typename`
  if (field === undefined) return 1;
  const { complexity = 1 } = field.extensions as { readonly complexity?: Complexity | ComplexityOfArguments };
  const name = `${parent.name}.${field.name}`;
  const priceOfMore = unpagedLists.get(name);
  const most = boundedLists.get(name) ?? Number.POSITIVE_INFINITY;
  const inner = node.selectionSet && findPrice(getNamedType(field.type), node.selectionSet, operation);
  const count = (given: Given): number => {
    const own =
      typeof complexity === 'function' ? complexity(getArgumentValues(field, node, given.variables)) : complexity;
    const { field: price = 1, multiplier = 1 } = typeof own === 'number' ? { field: own } : own;
    if (inner === undefined) return price;
    const entries = Math.min(given.entries, most);
    if (priceOfMore === undefined) return price + Math.max(multiplier, 0) * evaluate(inner, given);
    return price + entries * evaluate(inner, given) + Math.max(entries - prepaidEntries, 0) * priceOfMore;
  };
  return typeof complexity === 'function' || typeof inner === 'function' || priceOfMore !== undefined
    ? count
    : count(nothing);
}

type Complexity = number | { readonly field?: number; readonly multiplier?: number };
type ComplexityOfArguments = (args: Record<string, unknown>) => Complexity;
