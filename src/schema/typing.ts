import type { TypingState as TypingShape } from '../domain/typing.js';
import { loadMemberUsers } from '../resolvers/loaders.js';
import { getRoomOf } from '../resolvers/rooms.js';
import { listTyping, setTyping, watchTyping } from '../resolvers/typing.js';
import { affordable } from './bill.js';
import { builder } from './builder.js';
import { ofViewer } from './of-viewer.js';
import { prepaidEntries } from './price.js';
import { Room, toOneRoom } from './room.js';
import { slowList } from './sliced-lists.js';
import { User } from './user.js';

const TypingState = builder.objectRef<TypingShape>('TypingState').implement({
  description: 'The users who are typing in a room.',
  fields: (t) => ({
    roomId: t.exposeID('roomId', { description: 'The room.' }),
    room: t.field({
      ...ofViewer,
      type: Room,
      description: 'The room, as it is now.',
      resolve: ({ roomId }, _args, context, info) =>
        getRoomOf(context.deps, context.viewer, roomId, { written: undefined, request: toOneRoom(context, info) }),
    }),
    users: t.field({
      ...slowList,
      type: [User],
      description: 'All users who are typing, without the viewer.',
      resolve: ({ roomId, userIds }, _args, context, info) =>
        loadMemberUsers(context.deps, roomId, userIds, affordable(info, context)),
    }),
  }),
});

builder.objectField(Room, 'typing', (t) =>
  t.field({
    ...ofViewer,
    type: [User],
    description: 'The users who are typing now, without the viewer.',
    // Needs one request to the NATS stream for each room.
    complexity: { field: 40, multiplier: prepaidEntries },
    resolve: ({ id }, _args, context, info) => listTyping(context.deps, context.viewer, id, affordable(info, context)),
  }),
);

const SetTypingInput = builder.inputType('SetTypingInput', {
  description: 'Whether the viewer is typing.',
  fields: (t) => ({
    roomId: t.id({ required: true, description: 'The room.' }),
    isTyping: t.boolean({
      required: true,
      description: 'True while the viewer types, to be repeated; false when they stop.',
    }),
  }),
});

const SetTypingPayload = builder.objectRef<{ expiresInMs: number }>('SetTypingPayload').implement({
  description: 'How long the signal is valid.',
  fields: (t) => ({
    expiresInMs: t.exposeInt('expiresInMs', { description: 'The signal expires after this time; repeat it earlier.' }),
  }),
});

builder.mutationField('setTyping', (t) =>
  t.field({
    type: SetTypingPayload,
    description:
      'Shows the other members that the viewer is typing, or has stopped. One signal per second is sent; if there are more, the newest one is. Sending a message also ends the signal. FORBIDDEN in a room that is closed for writing.',
    args: {
      input: t.arg({
        type: SetTypingInput,
        required: true,
        description: 'The room, and whether the viewer is typing.',
      }),
    },
    resolve: (_root, { input }, { deps, viewer }) => setTyping(deps, viewer, input),
  }),
);

builder.subscriptionField('typing', (t) =>
  t.field({
    type: TypingState,
    description: `The complete list of users who are typing: the current one first, then a new one after every change, at most four per second, and under load one in 5 seconds.
Ends with FORBIDDEN when the viewer's membership ends.`,
    args: { roomId: t.arg.id({ required: true, description: 'The room.' }) },
    subscribe: (_root, args, { deps, viewer, isBehind }) => watchTyping(deps, viewer, args, isBehind),
    resolve: (state) => state,
  }),
);
