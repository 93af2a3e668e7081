import { type FieldNode, GraphQLError, type GraphQLResolveInfo, getNamedType, OperationTypeNode } from 'graphql';
import { ChatError } from '../domain/errors.js';
import type { Afford } from '../resolvers/loaders.js';
import type { Context } from './context.js';
import { maxPriceOf, type Pricing, prepaidEntries, priceOf, priceOfEntry, priceOfOperation } from './price.js';
import type { Selection } from './selection.js';

/** Has the operation pay for the entries of the list that the field answers, as many as there are, before they are loaded. */
export const affordable =
  (info: GraphQLResolveInfo, context: Context): Afford =>
  (entries) => {
    if (entries > prepaidEntries) billOf(info, context).payFor(info, entries - prepaidEntries);
  };

/** What lists below the resolved field may have together. */
export interface Affordable {
  readonly most: number;
  /** For those who have found more than that. @throws {ChatError} BAD_USER_INPUT */
  readonly refuse: () => never;
}

/** How many entries so many lists with this selection may have together, so that the operation can pay for them. */
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
 * Why an operation, or an event, is refused as a whole: else some of its lists would be there, and others look like none.
 * Undefined where it could pay for all, and for a mutation, whose answer says what was done.
 */
export const findExcess = (context: object): GraphQLError | undefined => bills.get(context)?.excess;

/** What the lists of an operation have cost beyond what was known of them before it was executed. */
export const extraPriceOf = (context: object): number => bills.get(context)?.extra ?? 0;

/** By context, which each operation and each event has for itself. */
const bills = new WeakMap<object, Bill>();

function billOf(info: GraphQLResolveInfo, context: Context): Bill {
  const bill = bills.get(context) ?? new Bill(info, context);
  bills.set(context, bill);
  return bill;
}

/** What one operation, or one event, has touched, with all that its lists hold. */
class Bill {
  readonly #pricing: Pricing;
  readonly #max: number;
  readonly #prepaid: number;
  #total: number;
  readonly #isMutation: boolean;
  #excess: GraphQLError | undefined;
  /** Of one entry, by the nodes that select the list: the same in a hundred rooms. */
  readonly #prices = new Map<readonly FieldNode[], number>();

  constructor(info: GraphQLResolveInfo, context: Context) {
    const { schema, operation, fragments, variableValues } = info;
    this.#pricing = { schema, operation, fragments, variableValues, entries: prepaidEntries };
    this.#isMutation = operation.operation === OperationTypeNode.MUTATION;
    this.#max = maxPriceOf(operation.operation, context);
    this.#prepaid = priceOfOperation(this.#pricing);
    this.#total = this.#prepaid;
  }

  /** @throws {ChatError} BAD_USER_INPUT where that is more than an operation may touch */
  payFor({ fieldNodes, returnType }: GraphQLResolveInfo, entries: number): void {
    let price = this.#prices.get(fieldNodes);
    if (price === undefined) {
      const sets = fieldNodes.flatMap(({ selectionSet }) => selectionSet ?? []);
      price = priceOf(getNamedType(returnType), sets, this.#pricing) + priceOfEntry;
      this.#prices.set(fieldNodes, price);
    }
    this.#total += entries * price;
    if (this.#total > this.#max) this.refuse(fieldNodes);
  }

  /** @param price - of what is not counted yet */
  refuse(nodes: readonly FieldNode[], price = 0): never {
    this.#total += price;
    const error = new ChatError(
      'BAD_USER_INPUT',
      `The lists in this answer hold so much that it may touch ${this.#total} fields or more; at most ${this.#max} are allowed. Read members in pages (memberPage), or ask for less of each`,
    );
    this.#excess ??= new GraphQLError(error.message, { nodes, originalError: error });
    throw error;
  }

  /** What cannot be paid is not loaded. */
  get extra(): number {
    return Math.max(0, Math.min(this.#total, this.#max) - this.#prepaid);
  }

  get excess(): GraphQLError | undefined {
    return this.#isMutation ? undefined : this.#excess;
  }

  /** How many entries more can be paid for, and the price of one. */
  count(entry: Selection): { readonly price: number; readonly most: number } {
    const price = entry.price(this.#pricing) + priceOfEntry;
    return { price, most: Math.max(0, Math.floor((this.#max - this.#total) / price)) };
  }
}
