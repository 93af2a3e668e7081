import type { KnownMember } from '../db/rows.js';
import { builder } from './builder.js';
import { User } from './user.js';

const userOf = ({ user, userId }: Pick<KnownMember, 'user' | 'userId'>) => user ?? userId;

/** What the booking system needs of a membership is nobody else's, so this is no type of Prisma's. */
export const RoomMember = builder.objectRef<KnownMember>('RoomMember').implement({
  description: "A user's membership in a room, and how far they have read.",
  fields: (t) => ({
    id: t.exposeID('id', { description: 'A UUID; the same when the user leaves and comes back.' }),
    user: t.field({ type: User, description: 'Who it is.', resolve: userOf }),
    isAdmin: t.exposeBoolean('isAdmin', { description: 'May remove members, rename the room and name admins.' }),
    joinedAt: t.expose('joinedAt', { type: 'DateTime', description: 'When they joined, or last came back.' }),
    leftAt: t.expose('leftAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When they left or were removed; null while they are a member.',
    }),
    lastReadSeq: t.exposeInt('lastReadSeq', { description: 'The member has read every message up to this seq.' }),
    lastReadMessageId: t.exposeID('lastReadMessageId', {
      nullable: true,
      description: 'The message at which the read mark stands.',
    }),
    lastReadAt: t.expose('lastReadAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the read mark last moved.',
    }),
  }),
});
