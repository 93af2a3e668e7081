import type { MessageReader } from '../db/messages.js';
import { keptUser } from '../resolvers/loaders.js';
import { builder } from './builder.js';
import { User } from './user.js';

export const MessageRead = builder.objectRef<MessageReader>('MessageRead').implement({
  description: 'A member who has read a message, and when.',
  fields: (t) => ({
    user: t.field({
      type: User,
      description: 'The member who has read it.',
      resolve: ({ userId }, _args, { deps }) => keptUser(deps, userId),
    }),
    readAt: t.expose('readAt', {
      type: 'DateTime',
      description: 'When their read mark first reached or passed the message.',
    }),
  }),
});
