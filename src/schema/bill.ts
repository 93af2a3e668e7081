import { type FieldNode, type GraphQLError, type GraphQLResolveInfo, getNamedType, OperationTypeNode } from 'graphql';
import { ChatError } from '../domain/errors.js';
import type { Afford } from '../resolvers/loaders.js';
import type { Context } from './context.js';
import { toGraphqlError } from './graphql-error.js';
import {
  maxPriceOf,
  type Pricing,
  prepaidEntries,
  priceOf,
  priceOfEntry,
  priceOfOperation,
  unpagedLists,
} from './price.js';
import type { Selection } from './selection.js';

/** Charges the operation for all entries of the resolved list. Call the result with their number before they are loaded. */
export const affordable =
  (info: GraphQLResolveInfo, context: Context): Afford =>
  (entries) => {
    if (entries > prepaidEntries) billOf(info, context).payFor(info, entries - prepaidEntries);
  };

/** The list, which needs no look-up, after the operation was charged for its entries. */
export function affordableList<Entry>(
  entries: readonly Entry[],
  info: GraphQLResolveInfo,
  context: Context,
): readonly Entry[] {
  affordable(info, context)(entries.length);
  return entries;
}

/** The limit on the lists below the resolved field, all of them together. */
export interface Affordable {
  readonly most: number;
  /** Call it when there are more entries than `most`. @throws {ChatError} BAD_USER_INPUT */
  readonly refuse: () => never;
}

/** How many entries the operation can still pay for, in `lists` lists together, with this selection on each entry. */
export function affordableEntries(
  info: GraphQLResolveInfo,
  context: Context,
  entry: Selection,
  lists: number,
): Affordable {
  const bill = billOf(info, context);
  const { price, most } = bill.count(entry);
  return { most: most + lists * prepaidEntries, refuse: () => bill.refuse(info.fieldNodes, (most + 1) * price) };
}

/**
 * The error that refuses the whole operation or event. A partial answer would show some lists and leave others out.
 * Undefined if it could pay for every list, and for a mutation: its answer has to say what was done.
 */
export const findExcess = (context: object): GraphQLError | undefined => bills.get(context)?.excess;

/** The cost of an operation's lists beyond the estimate that was made before execution. */
export const extraPriceOf = (context: object): number => bills.get(context)?.extra ?? 0;

/** Keyed by context: each operation and each event has its own. */
const bills = new WeakMap<object, Bill>();

function billOf(info: GraphQLResolveInfo, context: Context): Bill {
  const bill = bills.get(context) ?? new Bill(info, context);
  bills.set(context, bill);
  return bill;
}

/** Counts the fields that one operation or one event touches, including every entry of its lists. */
class Bill {
  readonly #pricing: Pricing;
  readonly #max: number;
  readonly #prepaid: number;
  #total: number;
  readonly #isMutation: boolean;
  #excess: GraphQLError | undefined;
  /** The price of one entry, by the nodes that select the list: it is the same in each of a hundred rooms. */
  readonly #prices = new Map<readonly FieldNode[], number>();

  constructor(info: GraphQLResolveInfo, context: Context) {
    const { schema, operation, fragments, variableValues } = info;
    this.#pricing = { schema, operation, fragments, variableValues, entries: prepaidEntries };
    this.#isMutation = operation.operation === OperationTypeNode.MUTATION;
    this.#max = maxPriceOf(operation.operation, context);
    this.#prepaid = priceOfOperation(this.#pricing);
    this.#total = this.#prepaid;
  }

  /** @throws {ChatError} BAD_USER_INPUT if the operation would touch more fields than allowed */
  payFor({ fieldNodes, returnType, parentType, fieldName }: GraphQLResolveInfo, entries: number): void {
    let price = this.#prices.get(fieldNodes);
    if (price === undefined) {
      const sets = fieldNodes.flatMap(({ selectionSet }) => selectionSet ?? []);
      const own = unpagedLists.get(`${parentType.name}.${fieldName}`) ?? priceOfEntry;
      price = priceOf(getNamedType(returnType), sets, this.#pricing) + own;
      this.#prices.set(fieldNodes, price);
    }
    this.#total += entries * price;
    if (this.#total > this.#max) this.refuse(fieldNodes);
  }

  /** @param price - the price of entries that are not counted yet */
  refuse(nodes: readonly FieldNode[], price = 0): never {
    this.#total += price;
    const error = new ChatError(
      'BAD_USER_INPUT',
      `The lists in this answer are so long that it would touch ${this.#total} fields or more; at most ${this.#max} are allowed. Read members in pages (memberPage), or select fewer fields of each entry`,
    );
    this.#excess ??= toGraphqlError(error, { nodes });
    throw error;
  }

  /** At most the maximum: entries beyond it are refused before they are loaded. */
  get extra(): number {
    return Math.max(0, Math.min(this.#total, this.#max) - this.#prepaid);
  }

  get excess(): GraphQLError | undefined {
    return this.#isMutation ? undefined : this.#excess;
  }

  /** How many more entries the operation can pay for, and the price of one. */
  count(entry: Selection): { readonly price: number; readonly most: number } {
    const price = entry.price(this.#pricing) + priceOfEntry;
    return { price, most: Math.max(0, Math.floor((this.#max - this.#total) / price)) };
  }
}
