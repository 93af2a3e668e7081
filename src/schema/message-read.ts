import type { Reader } from '../db/messages.js';
import { builder } from './builder.js';
import { User } from './user.js';

export const MessageRead = builder.objectRef<Reader>('MessageRead').implement({
  description: 'That a member has read a message.',
  fields: (t) => ({
    user: t.field({ type: User, description: 'Who has read it.', resolve: ({ userId }) => userId }),
    readAt: t.expose('readAt', { type: 'DateTime', description: 'When their read mark first stood at it or past it.' }),
  }),
});
