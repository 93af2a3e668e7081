import SchemaBuilder from '@pothos/core';
import ComplexityPlugin from '@pothos/plugin-complexity';
import DataloaderPlugin from '@pothos/plugin-dataloader';
import PrismaPlugin from '@pothos/plugin-prisma';
import RelayPlugin from '@pothos/plugin-relay';
import type PrismaTypes from '../db/generated/pothos.js';
import { getDatamodel } from '../db/generated/pothos.js';
import type { Context } from './context.js';
import GatePlugin from './gate.js';
import { prepaidEntries } from './price.js';
import SlicedListsPlugin from './sliced-lists.js';

export const builder = new SchemaBuilder<{
  Context: Context;
  PrismaTypes: PrismaTypes;
  DefaultFieldNullability: false;
  DefaultEdgesNullability: { list: false; items: false };
  DefaultNodeNullability: false;
  Scalars: {
    ID: { Input: string; Output: string | number };
    DateTime: { Input: Date; Output: Date };
  };
}>({
  plugins: [GatePlugin, SlicedListsPlugin, PrismaPlugin, RelayPlugin, DataloaderPlugin, ComplexityPlugin],
  defaultFieldNullability: false,
  prisma: { client: ({ deps }) => deps.db.reads.prisma, dmmf: getDatamodel() },
  // The plugin only stores each field's cost: `price.ts` prices operations. A page is multiplied by its requested size, any
  // other list by `prepaidEntries`.
  complexity: { defaultListMultiplier: prepaidEntries, disabled: true },
  relay: {
    cursorType: 'String',
    nodeQueryOptions: false,
    nodesQueryOptions: false,
    edgesFieldOptions: {
      nullable: { list: false, items: false },
      description: 'The entries of this page, in order.',
      // The connection's own field counts its entries.
      complexity: { field: 1, multiplier: 1 },
    },
    nodeFieldOptions: { nullable: false, description: 'The entry itself.' },
    cursorFieldOptions: { description: 'The position of this entry: pass it as after or before.' },
    hasNextPageFieldOptions: { description: 'Whether there are more entries after the last one.' },
    hasPreviousPageFieldOptions: { description: 'Whether there are more entries before the first one.' },
    startCursorFieldOptions: { description: 'The cursor of the first entry; null on an empty page.' },
    endCursorFieldOptions: { description: 'The cursor of the last entry; null on an empty page.' },
    pageInfoFieldOptions: { description: 'Whether there are more pages, and the cursors to continue from.' },
    pageInfoTypeOptions: {
      description: 'Whether there are more pages before or after this one, and the cursors to continue from.',
    },
  },
});

builder.queryType({ description: 'Everything that the viewer can read. The viewer is the authenticated user.' });
builder.mutationType({
  description:
    'Everything that the viewer can change, over HTTP or WebSocket alike. Mutations sent over one WebSocket take effect in each room in the order in which they were sent, even if the client does not wait for the answers.',
});
builder.subscriptionType({ description: 'Live events for the viewer, over WebSocket or as an HTTP stream.' });
