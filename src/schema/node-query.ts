import { getNode } from '../resolvers/nodes.js';
import { builder } from './builder.js';
import { Node } from './node.js';
import { toRoomNode } from './room.js';

builder.queryField('node', (t) =>
  t.field({
    type: Node,
    nullable: true,
    description:
      'A room, message or member by its UUID, or a user as `User:5`. Null if it does not exist or the viewer may not see it.',
    args: { id: t.arg.id({ required: true, description: 'A UUID, or `User:` and the number of a user.' }) },
    // It is looked up among rooms, messages and members.
    complexity: 3,
    resolve: (_root, { id }, context, info) => getNode(context.deps, context.viewer, id, toRoomNode(context, info)),
  }),
);
