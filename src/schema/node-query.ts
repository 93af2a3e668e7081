import { getNode } from '../resolvers/nodes.js';
import { builder } from './builder.js';
import { Node } from './node.js';
import { toRoomNode } from './room.js';

builder.queryField('node', (t) =>
  t.field({
    type: Node,
    nullable: true,
    description:
      'A room, message, member or file by its UUID, or a user as `User:5`. Null if it does not exist or the viewer may not see it.',
    args: { id: t.arg.id({ required: true, description: 'A UUID, or `User:` and the number of a user.' }) },
    // It is looked up among rooms, messages, members and files.
    complexity: 4,
    resolve: (_root, { id }, context, info) => getNode(context.deps, context.viewer, id, toRoomNode(context, info)),
  }),
);
