import type { SystemNotice as Notice } from '../domain/message.js';
import { loadMemberUsers } from '../resolvers/loaders.js';
import { affordable } from './bill.js';
import { builder } from './builder.js';
import { slowList } from './sliced-lists.js';
import { User } from './user.js';

const SystemCode = builder.enumType('SystemCode', {
  description: 'The event that a SYSTEM message reports.',
  values: {
    ROOM_CREATED: { description: 'The sender created the room; users are its first members.' },
    ROOM_RENAMED: { description: 'The sender renamed the room.' },
    ROOM_IMAGE_CHANGED: { description: 'The sender changed or removed the picture of the room.' },
    MEMBERS_JOINED: { description: 'The sender invited the users.' },
    MEMBER_LEFT: { description: 'The user left.' },
    MEMBER_REMOVED: { description: 'The sender removed the user.' },
    ADMIN_GRANTED: { description: 'The user became an admin.' },
    ADMIN_REVOKED: { description: 'The user is no longer an admin.' },
    BOOKING_CANCELLED: { description: "The room's booking was cancelled." },
    ANNOUNCEMENT: { description: "An announcement of the platform; see the message's content." },
  },
});

export const SystemNotice = builder.objectRef<Notice & { readonly roomId: string }>('SystemNotice').implement({
  description: 'The event that a SYSTEM message reports, and the users it is about.',
  fields: (t) => ({
    code: t.expose('code', { type: SystemCode, description: 'The event.' }),
    users: t.field({
      ...slowList,
      type: [User],
      description: 'The users that the event is about.',
      resolve: ({ roomId, userIds }, _args, context, info) =>
        loadMemberUsers(context.deps, roomId, userIds, affordable(info, context)),
    }),
  }),
});
