import { cursorOfMessage } from '../db/messages.js';
import { nameAuthor } from '../resolvers/messages.js';
import { watchMessages } from '../resolvers/room-events.js';
import { builder } from './builder.js';
import { Message, MessageEdge } from './message.js';
import { epochDescription, RoomEvent, roomEventRef } from './room-event.js';

builder.objectType(roomEventRef('added', 'MessageAdded'), {
  interfaces: [RoomEvent],
  description: 'A message was added. In a replay it comes as it is now, perhaps edited or deleted since.',
  fields: (t) => ({
    message: t.field({
      type: Message,
      description: 'The new message.',
      resolve: ({ message }, _args, { deps }) => nameAuthor(deps, message),
    }),
    edge: t.field({
      type: MessageEdge,
      description: 'The new message with its cursor, for clients that keep the history as a connection.',
      resolve: ({ message }, _args, { deps }) => ({
        cursor: cursorOfMessage(message),
        node: nameAuthor(deps, message),
      }),
    }),
  }),
});

const MessageChange = builder.enumType('MessageChange', {
  description: 'What has changed of a message.',
  values: {
    EDITED: { description: 'Its text.' },
    ATTACHMENTS: { description: 'Its files: thumbnails became ready, or a file failed or expired.' },
  },
});

builder.objectType(roomEventRef('updated', 'MessageUpdated'), {
  interfaces: [RoomEvent],
  description: 'A message was changed. A replay returns only the last change of a message.',
  fields: (t) => ({
    message: t.expose('message', { type: Message, description: 'The message after the change.' }),
    change: t.field({
      type: MessageChange,
      description: 'The last change, where a replay has compacted several.',
      resolve: ({ change }) => (change === 'ATTACHMENTS' ? change : 'EDITED'),
    }),
  }),
});

builder.objectType(roomEventRef('deleted', 'MessageDeleted'), {
  interfaces: [RoomEvent],
  description: 'A message was deleted for everyone. A replay returns only the last change of a message.',
  fields: (t) => ({ message: t.expose('message', { type: Message, description: 'The message without its content.' }) }),
});

builder.subscriptionField('messageAdded', (t) =>
  t.field({
    type: Message,
    description: `New messages only, for simple clients; the same order and replay as roomEvents. After the log was restored
to an earlier state, the messages behind that state are sent again.`,
    args: {
      roomId: t.arg.id({ required: true, description: 'The room.' }),
      afterSeq: t.arg.int({ description: 'The newest seq that the client has; absent, messages are live only.' }),
      epoch: t.arg.id({ description: epochDescription }),
    },
    subscribe: (_root, args, { deps, viewer, isBehind }) => watchMessages(deps, viewer, args, isBehind),
    resolve: ({ message }, _args, { deps }) => nameAuthor(deps, message),
  }),
);
