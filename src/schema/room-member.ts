import type { KnownMember } from '../db/member-row.js';
import { keptUser } from '../resolvers/loaders.js';
import { affordableList } from './bill.js';
import { builder } from './builder.js';
import { Node } from './node.js';
import { RoomEvent, roomEventRef } from './room-event.js';
import { User } from './user.js';

/** Not a Prisma type: some columns are only for the booking system. */
export const RoomMember = builder.objectRef<KnownMember>('RoomMember').implement({
  interfaces: [Node],
  description: "A user's membership in a room, and how far they have read.",
  fields: (t) => ({
    id: t.exposeID('id', { description: 'A UUID; it stays the same when the user leaves and rejoins.' }),
    user: t.field({
      type: User,
      description: 'The user.',
      resolve: ({ user, userId }, _args, { deps }) => user ?? keptUser(deps, userId),
    }),
    isAdmin: t.exposeBoolean('isAdmin', {
      description: 'Admins may remove members, rename the room, appoint admins and delete any message.',
    }),
    joinedAt: t.expose('joinedAt', { type: 'DateTime', description: 'When they joined, or last rejoined.' }),
    joinedSeq: t.exposeInt('joinedSeq', {
      description:
        "The position in the room's log at which they joined, or last rejoined. What came before it they read as history.",
    }),
    leftAt: t.expose('leftAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When they left or were removed; null while they are a member.',
    }),
    lastReadSeq: t.exposeInt('lastReadSeq', { description: 'The member has read every message up to this seq.' }),
    lastReadMessageId: t.exposeID('lastReadMessageId', {
      nullable: true,
      description: 'The message at the read mark.',
    }),
    lastReadAt: t.expose('lastReadAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the read mark last moved.',
    }),
  }),
});

builder.objectType(roomEventRef('read', 'MemberRead'), {
  interfaces: [RoomEvent],
  description: "A member's read mark moved; for reads: EACH. It is not part of the log and is not replayed.",
  fields: (t) => ({
    member: t.expose('member', { type: RoomMember, description: 'The member, with the new mark.' }),
    previousSeq: t.exposeInt('previousSeq', {
      description:
        "Where the mark stood in the member's MemberRead before: what came after it, up to member.lastReadSeq, was read since. A client that falls behind gets only the newest mark; if it knows a lower one, it counts from that.",
    }),
  }),
});

builder.objectType(roomEventRef('reads', 'MembersRead'), {
  interfaces: [RoomEvent],
  description:
    'The read marks of several members moved; for reads: BATCHED. It is not part of the log and is not replayed.',
  fields: (t) => ({
    members: t.field({
      type: [RoomMember],
      description:
        'The members whose marks have moved since the last such event, with their newest marks: at most limits.maxRoomMembers.',
      resolve: ({ members }, _args, context, info) => affordableList(members, info, context),
    }),
  }),
});
