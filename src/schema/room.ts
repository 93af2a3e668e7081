import type { GraphQLResolveInfo } from 'graphql';
import { changedRoomParts, cursorOfRoom, type RoomPart, type Room as RoomShape, roomParts } from '../db/rooms.js';
import { memberDetails } from '../db/rows.js';
import { loadMemberCount, loadMembers, loadMembership, loadTitle, loadUnreadCount } from '../resolvers/loaders.js';
import { inviteMembers, leaveRoom, removeMember, setAdmin } from '../resolvers/members.js';
import {
  assertRoomPageArgs,
  countUnreadMessages,
  createRoom,
  defaultRoomPageSize,
  getBookingRoom,
  getRoom,
  listRooms,
  markRead,
  type RoomRequest,
  renameRoom,
} from '../resolvers/rooms.js';
import { affordable, affordableEntries } from './bill.js';
import { builder } from './builder.js';
import { checked } from './checked.js';
import { toConnection } from './connection.js';
import type { Context } from './context.js';
import { findMessageParts } from './message-parts.js';
import { ofViewer } from './of-viewer.js';
import { RoomMember } from './room-member.js';
import { RoomType } from './room-type.js';
import { Selection } from './selection.js';

/** Rooms carry what has been read along with them, so this is no type of Prisma's. */
export const Room = builder.objectRef<RoomShape>('Room').implement({
  description: 'A room that the viewer is a member of.',
  fields: (t) => ({
    id: t.exposeID('id', { description: 'A UUID.' }),
    type: t.expose('type', { type: RoomType, description: 'What kind of room it is.' }),
    name: t.exposeString('name', { nullable: true, description: 'The stored name; null in DIRECT rooms.' }),
    title: t.string({
      ...ofViewer,
      description: "What to show the viewer: the name, or else the other members' names.",
      resolve: (room, _args, { deps, viewer }) => loadTitle(deps, viewer, room),
    }),
    bookingId: t.exposeInt('bookingId', { nullable: true, description: "The booking's number; BOOKING only." }),
    seq: t.exposeInt('seq', {
      description: "Position of the newest entry in the room's log. Pass it as afterSeq to continue from here.",
    }),
    epoch: t.exposeID('epoch', {
      description: 'Changes when the log was restored to an earlier state: pass it with afterSeq.',
    }),
    members: t.field({
      ...ofViewer,
      type: [RoomMember],
      description:
        'Who is in the room, all of them, the longest member first. They count as what the operation touches: where rooms may be large, ask for memberPage.',
      args: { includeLeft: t.arg.boolean({ defaultValue: false, description: 'Also who was in it once.' }) },
      resolve: (room, { includeLeft }, context, info) =>
        loadMembers(context.deps, context.viewer, room, {
          includeLeft: includeLeft ?? false,
          afford: affordable(info, context),
        }),
    }),
    memberCount: t.int({
      ...ofViewer,
      description: 'How many are in the room.',
      resolve: (room, _args, { deps, viewer }) => loadMemberCount(deps, viewer, room),
    }),
    viewerMember: t.field({
      ...ofViewer,
      type: RoomMember,
      description: "The viewer's own membership.",
      resolve: (room, _args, { deps, viewer }) => loadMembership(deps, viewer, room),
    }),
    unreadCount: t.int({
      ...ofViewer,
      description: "Messages from others, neither SYSTEM nor deleted, after the viewer's read mark and joining.",
      resolve: (room, _args, { deps, viewer }) => loadUnreadCount(deps, viewer, room),
    }),
    cancelledAt: t.expose('cancelledAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the booking was cancelled: nobody writes here any more. BOOKING only.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was made.' }),
    updatedAt: t.expose('updatedAt', {
      type: 'DateTime',
      description: 'Newest activity; rooms are listed by it, newest first.',
    }),
  }),
});

const RoomEdge = builder.edgeObject({
  type: Room,
  name: 'RoomEdge',
  nodeNullable: false,
  description: "A room in a page of the viewer's rooms.",
});
const RoomConnection = builder.connectionObject(
  { type: Room, name: 'RoomConnection', edgesNullable: false, description: "A page of the viewer's rooms." },
  RoomEdge,
);

interface RoomsToRead {
  /** What is selected of each. */
  readonly room: Selection;
  readonly info: GraphQLResolveInfo;
  readonly context: Context;
  readonly among?: readonly RoomPart[];
  /** How many there may be. */
  readonly rooms?: number;
}

/** What is read along with rooms: of their messages one page, and all members where the operation can pay for them. */
function toRoomRequest({ room, info, context, among = roomParts, rooms = 1 }: RoomsToRead): RoomRequest {
  const args = room.argumentsOf('messages');
  const members = [room.into('members', 'viewerMember'), room.into('memberPage').ofNodes];
  const parts = room.choose(among);
  return {
    parts,
    memberDetails: [...new Set(members.flatMap((member) => member.choose(memberDetails)))],
    members: affordableEntries(info, context, room.into('members'), rooms),
    history: args && { args, findParts: () => findMessageParts(room.into('messages').ofNodes) },
  };
}

const toOneRoom = (context: Context, info: GraphQLResolveInfo): RoomRequest =>
  toRoomRequest({ room: Selection.of(info), info, context });

/** The same where the room is that of a change's answer: its page of members is of the same moment. */
function toChangedRoom(context: Context, info: GraphQLResolveInfo): RoomRequest {
  const room = Selection.of(info).into('room');
  const request = toRoomRequest({ room, info, context, among: changedRoomParts });
  if (room.argumentsOf('memberPage') === undefined) return request;
  return { ...request, parts: [...new Set([...request.parts, 'members' as const])] };
}

builder.queryFields((t) => ({
  rooms: t.field({
    ...checked(assertRoomPageArgs),
    type: RoomConnection,
    description: "The viewer's rooms, newest activity first.",
    args: {
      first: t.arg.int({
        defaultValue: defaultRoomPageSize,
        description: 'How many, at most 100 (limits.maxPageSize).',
      }),
      after: t.arg.string({ description: 'Only what comes after this cursor.' }),
      type: t.arg({ type: RoomType, description: 'Only rooms of this type.' }),
    },
    complexity: ({ first }) => ({ field: 1, multiplier: first ?? defaultRoomPageSize }),
    resolve: (_root, args, context, info) => {
      const rooms = args.first ?? defaultRoomPageSize;
      const request = toRoomRequest({ room: Selection.of(info).ofNodes, info, context, rooms });
      return toConnection(listRooms(context.deps, context.viewer, args, request), cursorOfRoom);
    },
  }),
  room: t.field({
    type: Room,
    nullable: true,
    description: 'One room. Null if there is none or the viewer is not a member.',
    args: { id: t.arg.id({ required: true, description: "The room's UUID." }) },
    resolve: (_root, { id }, context, info) => getRoom(context.deps, context.viewer, id, toOneRoom(context, info)),
  }),
  bookingRoom: t.field({
    type: Room,
    nullable: true,
    description: 'The room of a booking. Null if there is none or the viewer is not a member.',
    args: { bookingId: t.arg.int({ required: true, description: "The booking's number." }) },
    resolve: (_root, { bookingId }, context, info) =>
      getBookingRoom(context.deps, context.viewer, bookingId, toOneRoom(context, info)),
  }),
  unreadCount: t.int({
    description: "Unread over all the viewer's rooms.",
    resolve: (_root, _args, { deps, viewer }) => countUnreadMessages(deps, viewer),
  }),
}));

const CreateRoomInput = builder.inputType('CreateRoomInput', {
  description: 'A room to make.',
  fields: (t) => ({
    type: t.field({
      type: RoomType,
      required: true,
      description: 'DIRECT or GROUP; BOOKING rooms are made by the booking system.',
    }),
    name: t.string({ description: 'GROUP only.' }),
    participantIds: t.idList({ required: true, description: 'The others; the viewer is always added.' }),
  }),
});

const RenameRoomInput = builder.inputType('RenameRoomInput', {
  description: 'A new name for a GROUP.',
  fields: (t) => ({
    roomId: t.id({ required: true, description: 'Which room; the viewer is an admin of it.' }),
    name: t.string({ required: true, description: '1 to 100 characters.' }),
  }),
});

const InviteMembersInput = builder.inputType('InviteMembersInput', {
  description: 'Users to invite to a GROUP.',
  fields: (t) => ({
    roomId: t.id({ required: true, description: 'Which room; any member may invite.' }),
    userIds: t.idList({ required: true, description: 'Whom; who is in the room already is passed over.' }),
  }),
});

const RemoveMemberInput = builder.inputType('RemoveMemberInput', {
  description: 'A member to remove from a GROUP.',
  fields: (t) => ({
    roomId: t.id({ required: true, description: 'Which room; the viewer is an admin of it.' }),
    userId: t.id({ required: true, description: 'Whom.' }),
  }),
});

const SetAdminInput = builder.inputType('SetAdminInput', {
  description: 'Who shall be an admin of a GROUP.',
  fields: (t) => ({
    roomId: t.id({ required: true, description: 'Which room; the viewer is an admin of it.' }),
    userId: t.id({ required: true, description: 'A member of the room.' }),
    isAdmin: t.boolean({ required: true, description: 'True grants, false revokes; a room keeps one admin at least.' }),
  }),
});

const LeaveRoomInput = builder.inputType('LeaveRoomInput', {
  description: 'A room to leave.',
  fields: (t) => ({ roomId: t.id({ required: true, description: 'GROUP or BOOKING.' }) }),
});

const MarkReadInput = builder.inputType('MarkReadInput', {
  description: 'How far the viewer has read.',
  fields: (t) => ({
    roomId: t.id({ required: true, description: 'Which room.' }),
    messageId: t.id({ required: true, description: 'The newest message read. Never moves the mark back.' }),
  }),
});

const CreateRoomPayload = builder.objectRef<{ room: RoomShape; created: boolean }>('CreateRoomPayload').implement({
  description: 'The room that was asked for.',
  fields: (t) => ({
    room: t.expose('room', { type: Room, description: 'The room.' }),
    created: t.exposeBoolean('created', { description: 'False where the DIRECT room existed.' }),
  }),
});

const RoomPayload = builder.objectRef<{ room: RoomShape }>('RoomPayload').implement({
  description: 'The room after the change.',
  fields: (t) => ({ room: t.expose('room', { type: Room, description: 'The room as the change has left it.' }) }),
});

const LeaveRoomPayload = builder.objectRef<{ roomId: string }>('LeaveRoomPayload').implement({
  description: 'What was left.',
  fields: (t) => ({ roomId: t.exposeID('roomId', { description: 'The room, which the viewer no longer sees.' }) }),
});

builder.mutationFields((t) => ({
  createRoom: t.field({
    type: CreateRoomPayload,
    description: 'Makes a GROUP, or finds or makes the DIRECT room with another user.',
    args: { input: t.arg({ type: CreateRoomInput, required: true, description: 'What room, with whom.' }) },
    resolve: (_root, { input }, context, info) =>
      createRoom(context.deps, context.viewer, input, toChangedRoom(context, info)),
  }),
  renameRoom: t.field({
    type: RoomPayload,
    description: 'Gives a GROUP a new name; admins may.',
    args: { input: t.arg({ type: RenameRoomInput, required: true, description: 'Which room, and its name.' }) },
    resolve: (_root, { input }, context, info) =>
      renameRoom(context.deps, context.viewer, input, toChangedRoom(context, info)),
  }),
  inviteMembers: t.field({
    type: RoomPayload,
    description: 'Makes users members of a GROUP; any member may. They see its whole history.',
    args: { input: t.arg({ type: InviteMembersInput, required: true, description: 'Which room, and whom.' }) },
    resolve: (_root, { input }, context, info) =>
      inviteMembers(context.deps, context.viewer, input, toChangedRoom(context, info)),
  }),
  removeMember: t.field({
    type: RoomPayload,
    description: 'Ends the membership of somebody else in a GROUP at once; admins may.',
    args: { input: t.arg({ type: RemoveMemberInput, required: true, description: 'Which room, and whom.' }) },
    resolve: (_root, { input }, context, info) =>
      removeMember(context.deps, context.viewer, input, toChangedRoom(context, info)),
  }),
  setAdmin: t.field({
    type: RoomPayload,
    description: 'Makes a member of a GROUP an admin, or no longer one; admins may.',
    args: { input: t.arg({ type: SetAdminInput, required: true, description: 'Which room, whom, and what.' }) },
    resolve: (_root, { input }, context, info) =>
      setAdmin(context.deps, context.viewer, input, toChangedRoom(context, info)),
  }),
  leaveRoom: t.field({
    type: LeaveRoomPayload,
    description: "Ends the viewer's membership. When the last admin leaves, the longest member becomes one.",
    args: { input: t.arg({ type: LeaveRoomInput, required: true, description: 'Which room.' }) },
    resolve: (_root, { input }, { deps, viewer }) => leaveRoom(deps, viewer, input),
  }),
  markRead: t.field({
    type: RoomPayload,
    description: "Moves the viewer's read mark forward.",
    args: { input: t.arg({ type: MarkReadInput, required: true, description: 'Which room, and up to where.' }) },
    resolve: (_root, { input }, { deps, viewer }) => markRead(deps, viewer, input),
  }),
}));
