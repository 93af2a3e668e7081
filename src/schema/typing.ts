import type { TypingState as TypingShape } from '../domain/typing.js';
import { loadMemberUsers } from '../resolvers/loaders.js';
import { listTyping, setTyping, watchTyping } from '../resolvers/typing.js';
import { affordable } from './bill.js';
import { builder } from './builder.js';
import { ofViewer } from './of-viewer.js';
import { prepaidEntries } from './price.js';
import { Room } from './room.js';
import { User } from './user.js';

const TypingState = builder.objectRef<TypingShape>('TypingState').implement({
  description: 'Who is typing in a room.',
  fields: (t) => ({
    roomId: t.exposeID('roomId', { description: 'The room.' }),
    users: t.field({
      type: [User],
      description: 'Everybody who is typing, the viewer left out.',
      resolve: ({ roomId, userIds }, _args, context, info) =>
        loadMemberUsers(context.deps, roomId, userIds, affordable(info, context)),
    }),
  }),
});

builder.objectField(Room, 'typing', (t) =>
  t.field({
    ...ofViewer,
    type: [User],
    description: 'Who is typing now, the viewer left out.',
    // Asked of the stream, room by room.
    complexity: { field: 40, multiplier: prepaidEntries },
    resolve: ({ id }, _args, context, info) => listTyping(context.deps, context.viewer, id, affordable(info, context)),
  }),
);

const SetTypingInput = builder.inputType('SetTypingInput', {
  description: 'Whether the viewer is typing.',
  fields: (t) => ({
    roomId: t.id({ required: true, description: 'Where.' }),
    isTyping: t.boolean({ required: true, description: 'True while they type, to be repeated; false when they stop.' }),
  }),
});

const SetTypingPayload = builder.objectRef<{ expiresInMs: number }>('SetTypingPayload').implement({
  description: 'How long the signal holds.',
  fields: (t) => ({
    expiresInMs: t.exposeInt('expiresInMs', { description: 'The signal lapses after this long; repeat it sooner.' }),
  }),
});

builder.mutationField('setTyping', (t) =>
  t.field({
    type: SetTypingPayload,
    description:
      'Tells the other members that the viewer types, or no longer does. Signals are accepted once a second; of more, the newest counts. A message ends it too. FORBIDDEN in a room that is closed for writing.',
    args: { input: t.arg({ type: SetTypingInput, required: true, description: 'Where, and whether.' }) },
    resolve: (_root, { input }, { deps, viewer }) => setTyping(deps, viewer, input),
  }),
);

builder.subscriptionField('typing', (t) =>
  t.field({
    type: TypingState,
    description: `The whole list at every change, the present one first; at most four a second.
Ends with FORBIDDEN when the viewer's membership ends.`,
    args: { roomId: t.arg.id({ required: true, description: 'Which room.' }) },
    subscribe: (_root, args, { deps, viewer, isBehind }) => watchTyping(deps, viewer, args, isBehind),
    resolve: (state) => state,
  }),
);
