import SchemaBuilder, { BasePlugin, type PothosOutputFieldConfig, type SchemaTypes } from '@pothos/core';
import {
  type GraphQLFieldResolver,
  type GraphQLNamedType,
  type GraphQLResolveInfo,
  getNamedType,
  getNullableType,
  isListType,
  Kind,
  type SelectionSetNode,
} from 'graphql';
import type { Context } from './context.js';
import { findField, findFragment, type Operation } from './operation.js';

const pluginName = 'slicedLists';
export default pluginName;

/** A shorter list does not wait for a later turn, and counts only if it has more fields than so many. */
const minLength = 16;
const fieldsOfShort = 150;
/** A page is not divided, because its entries load together what is selected on them, unless that is much. */
const pageLength = 100;
const fieldsOfPage = 4_000;
/** How many fields a list may complete in one turn of the event loop: about 2 ms. */
const fieldsAtOnce = 1_500;
const msPerField = 2 / fieldsAtOnce;

/**
 * The extension of a list that takes long to resolve and loads nothing in a batch with other fields: it is resolved in a later
 * turn if this one has done enough.
 */
export const slowList = { extensions: { isSlowList: true } } as const;

/** Completes long lists over several turns of the event loop. */
class SlicedListsPlugin<Types extends SchemaTypes> extends BasePlugin<Types> {
  override wrapResolve(
    resolve: GraphQLFieldResolver<unknown, Types['Context'], object>,
    { type, extensions }: PothosOutputFieldConfig<Types>,
  ): GraphQLFieldResolver<unknown, Types['Context'], object> {
    if (type.kind !== 'List') return resolve;
    const isSlow = extensions != null && 'isSlowList' in extensions;
    return (parent, args, given, info) => {
      const context = given as unknown as Context;
      const { slices } = context.deps;
      const list: unknown =
        isSlow && slices.isOver
          ? slices.next(context.turnTaker).then(() => resolve(parent, args, given, info))
          : resolve(parent, args, given, info);
      return list instanceof Promise
        ? list.then((entries) => toSlices(entries, context, info))
        : toSlices(list, context, info);
    };
  }
}

function toSlices(list: unknown, context: Context, info: GraphQLResolveInfo): unknown {
  if (!Array.isArray(list) || list.length <= 1) return list;
  const fields = fieldsOfEntry(info);
  if (list.length <= minLength && list.length * fields <= fieldsOfShort) return list;
  const { deps, turnTaker } = context;
  // As a whole: a promise for each entry costs as much as a small entry, and many lists may wait.
  if (list.length > minLength && deps.slices.isOver) {
    return deps.slices.next(turnTaker).then(() => toSlices(list, context, info));
  }
  const isPage = list.length <= pageLength && list.length * fields <= fieldsOfPage;
  const atOnce = isPage ? list.length : Math.max(1, Math.floor(fieldsAtOnce / fields));
  // Many lists may get here before the first of them is completed.
  deps.slices.plan(Math.min(list.length, atOnce) * fields * msPerField);
  if (list.length <= atOnce) return list;
  const entries: unknown[] = list.slice(0, atOnce);
  // A promise as an entry makes the executor wait for it.
  while (entries.length < list.length) {
    const turn = deps.slices.next(turnTaker);
    for (const entry of list.slice(entries.length, entries.length + atOnce)) {
      entries.push(turn.then(() => entry));
    }
  }
  return entries;
}

function fieldsOfEntry(info: GraphQLResolveInfo): number {
  const type = getNamedType(info.returnType);
  let count = 1;
  for (const { selectionSet } of info.fieldNodes) count += countFields(type, selectionSet, info);
  return count;
}

/** Keyed by selection set; the parser's cache returns the same objects for the same text. */
const counts = new WeakMap<SelectionSetNode, number>();

/** How many fields are selected, without those of the entries of lists, which are divided themselves. */
function countFields(type: GraphQLNamedType, set: SelectionSetNode | undefined, operation: Operation): number {
  if (set === undefined) return 0;
  let count = counts.get(set);
  if (count !== undefined) return count;
  count = 0;
  for (const selection of set.selections) {
    if (selection.kind === Kind.FIELD) {
      const field = findField(type, selection);
      const isList = field === undefined || isListType(getNullableType(field.type));
      count += 1 + (isList ? 0 : countFields(getNamedType(field.type), selection.selectionSet, operation));
    } else {
      const fragment = findFragment(type, selection, operation);
      if (fragment?.type !== undefined) count += countFields(fragment.type, fragment.selectionSet, operation);
    }
  }
  counts.set(set, count);
  return count;
}

SchemaBuilder.registerPlugin(pluginName, SlicedListsPlugin);

declare global {
  export namespace PothosSchemaTypes {
    export interface Plugins<Types extends SchemaTypes> {
      slicedLists: SlicedListsPlugin<Types>;
    }
  }
}
