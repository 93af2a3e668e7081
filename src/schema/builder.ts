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
  plugins: [GatePlugin, PrismaPlugin, RelayPlugin, DataloaderPlugin, ComplexityPlugin],
  defaultFieldNullability: false,
  prisma: { client: ({ deps }) => deps.db.reads.prisma, dmmf: getDatamodel() },
  // What a field costs: pages count by what is asked, other lists by what is prepaid. Operations are priced by `price.ts`.
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
    cursorFieldOptions: { description: 'Where this entry stands: pass it as after or before.' },
    hasNextPageFieldOptions: { description: 'Whether there is more behind the last entry.' },
    hasPreviousPageFieldOptions: { description: 'Whether there is more before the first entry.' },
    startCursorFieldOptions: { description: 'Where the first entry stands; null on an empty page.' },
    endCursorFieldOptions: { description: 'Where the last entry stands; null on an empty page.' },
    pageInfoFieldOptions: { description: 'Whether there is more, and where to go on.' },
    pageInfoTypeOptions: { description: 'Whether a connection goes on beyond this page, and where.' },
  },
});

builder.queryType({ description: 'What the viewer may read.' });
builder.mutationType({
  description:
    'What the viewer may do. Works alike over HTTP and WebSocket. What is sent over one WebSocket takes effect in each room in the order in which it was sent, also where no answer is waited for.',
});
builder.subscriptionType({ description: 'What the viewer may follow live, over WebSocket or as an HTTP stream.' });
