import SchemaBuilder, { BasePlugin, type PothosOutputFieldConfig, type SchemaTypes } from '@pothos/core';
import type { GraphQLFieldResolver } from 'graphql';
import type { Context } from './context.js';

const pluginName = 'slicedLists';
export default pluginName;

/** A shorter list is completed at once. */
const minLength = 16;
/** How many entries of a list are completed in one turn of the event loop: a page is not divided. */
const entriesAtOnce = 100;

/** Completes long lists over several turns of the event loop. A promise as an entry makes the executor wait for it. */
class SlicedListsPlugin<Types extends SchemaTypes> extends BasePlugin<Types> {
  override wrapResolve(
    resolve: GraphQLFieldResolver<unknown, Types['Context'], object>,
    { type }: PothosOutputFieldConfig<Types>,
  ): GraphQLFieldResolver<unknown, Types['Context'], object> {
    if (type.kind !== 'List') return resolve;
    return (parent, args, context, info) => {
      const list: unknown = resolve(parent, args, context, info);
      return list instanceof Promise
        ? list.then((entries) => toSlices(entries, context as unknown as Context))
        : toSlices(list, context as unknown as Context);
    };
  }
}

function toSlices(list: unknown, { deps: { slices }, turnTaker }: Context): unknown {
  if (!Array.isArray(list) || list.length <= minLength) return list;
  const isOver = slices.isOver;
  if (list.length <= entriesAtOnce && !isOver) return list;
  const entries: unknown[] = isOver ? [] : list.slice(0, entriesAtOnce);
  while (entries.length < list.length) {
    const turn = slices.next(turnTaker);
    for (const entry of list.slice(entries.length, entries.length + entriesAtOnce)) {
      entries.push(turn.then(() => entry));
    }
  }
  return entries;
}

SchemaBuilder.registerPlugin(pluginName, SlicedListsPlugin);

declare global {
  export namespace PothosSchemaTypes {
    export interface Plugins<Types extends SchemaTypes> {
      slicedLists: SlicedListsPlugin<Types>;
    }
  }
}
