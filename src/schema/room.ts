import type { GraphQLResolveInfo } from 'graphql';
import { memberDetails } from '../db/member-row.js';
import { cursorOfRoom, type Room as RoomShape, roomParts } from '../db/rooms.js';
import { canSend } from '../resolvers/access.js';
import { addressOfRoomImage } from '../resolvers/files.js';
import {
  loadMemberCount,
  loadMembers,
  loadMembership,
  loadPeer,
  loadTitle,
  loadUnreadCount,
} from '../resolvers/loaders.js';
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
  updateRoom,
} from '../resolvers/rooms.js';
import { affordable, affordableEntries } from './bill.js';
import { builder } from './builder.js';
import { checked } from './checked.js';
import { toConnection } from './connection.js';
import type { Context } from './context.js';
import { findMessageParts } from './message-parts.js';
import { Node } from './node.js';
import { ofViewer } from './of-viewer.js';
import { RoomMember } from './room-member.js';
import { RoomType } from './room-type.js';
import { Selection } from './selection.js';
import { User } from './user.js';

/** Not a Prisma type: a room carries the parts that were loaded in the same query. */
export const Room = builder.objectRef<RoomShape>('Room').implement({
  interfaces: [Node],
  description: 'A room that the viewer is a member of.',
  fields: (t) => ({
    id: t.exposeID('id', { description: 'A UUID.' }),
    type: t.expose('type', { type: RoomType, description: 'The kind of the room.' }),
    name: t.exposeString('name', { nullable: true, description: 'The stored name; null in DIRECT rooms.' }),
    title: t.string({
      ...ofViewer,
      description: "The title to show to the viewer: the name or, without one, the other members' names.",
      resolve: (room, _args, { deps, viewer }) => loadTitle(deps, viewer, room),
    }),
    peer: t.field({
      ...ofViewer,
      type: User,
      nullable: true,
      description: 'The other member of a DIRECT room, for a picture and presence; null in other rooms.',
      resolve: (room, _args, { deps, viewer }) => loadPeer(deps, viewer, room),
    }),
    imageUrl: t.string({
      nullable: true,
      description:
        'The picture of the room, GROUP only: an https URL, or a file of this server, which is like Attachment.url. Null if it has none.',
      resolve: ({ imageUrl }, _args, { deps }) => addressOfRoomImage(deps, imageUrl),
    }),
    bookingId: t.exposeInt('bookingId', { nullable: true, description: "The booking's number; BOOKING only." }),
    seq: t.exposeInt('seq', {
      description: "The position of the newest entry in the room's log. Pass it as afterSeq to continue from here.",
    }),
    epoch: t.exposeID('epoch', {
      description: 'Identifies the log; changes when the log is restored to an earlier state. Pass it with afterSeq.',
    }),
    members: t.field({
      ...ofViewer,
      type: [RoomMember],
      description:
        'All members of the room, the longest member first. Each counts toward the number of fields that an operation may touch: use memberPage if rooms may be large.',
      args: { includeLeft: t.arg.boolean({ defaultValue: false, description: 'Also include former members.' }) },
      resolve: (room, { includeLeft }, context, info) =>
        loadMembers(context.deps, context.viewer, room, {
          includeLeft: includeLeft ?? false,
          afford: affordable(info, context),
        }),
    }),
    memberCount: t.int({
      ...ofViewer,
      description: 'How many members the room has.',
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
      description:
        "How many messages the viewer has not read: from others, neither SYSTEM nor deleted, after the viewer's read mark and joining.",
      resolve: (room, _args, { deps, viewer }) => loadUnreadCount(deps, viewer, room),
    }),
    cancelledAt: t.expose('cancelledAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the booking was cancelled, which closed the room for writing. BOOKING only.',
    }),
    viewerCanSend: t.boolean({
      ...ofViewer,
      description: 'Whether the viewer may send messages now; false if the room is closed for writing.',
      resolve: canSend,
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the room was created.' }),
    updatedAt: t.expose('updatedAt', {
      type: 'DateTime',
      description: 'When the newest activity happened; rooms are listed by it, newest first.',
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
  /** The selection on each room. */
  readonly room: Selection;
  readonly info: GraphQLResolveInfo;
  readonly context: Context;
  /** The maximum number of rooms. */
  readonly rooms?: number;
}

/** The parts to load in the same query as the rooms: one page of messages and one of members, and all members if the operation can pay for them. */
function toRoomRequest({ room, info, context, rooms = 1 }: RoomsToRead): RoomRequest {
  const args = room.argumentsOf('messages');
  const members = [room.into('members', 'viewerMember'), room.into('memberPage').ofNodes];
  const parts = room.choose(roomParts);
  return {
    parts,
    memberDetails: [...new Set(members.flatMap((member) => member.choose(memberDetails)))],
    members: affordableEntries(info, context, room.into('members'), rooms),
    memberPage: room.argumentsOf('memberPage'),
    history: args && { args, findParts: () => findMessageParts(room.into('messages').ofNodes) },
  };
}

export const toOneRoom = (context: Context, info: GraphQLResolveInfo): RoomRequest =>
  toRoomRequest({ room: Selection.of(info), info, context });

/** The same for a node, which may be a room. */
export const toRoomNode = (context: Context, info: GraphQLResolveInfo): RoomRequest =>
  toRoomRequest({ room: Selection.of(info, 'Room'), info, context });

/** The same for the room in a payload or an event. */
export const toRoomInside = (context: Context, info: GraphQLResolveInfo): RoomRequest =>
  toRoomRequest({ room: Selection.of(info).into('room'), info, context });

/** The same for a changed room: its member page shows the moment of the change, so members are loaded too. */
function toChangedRoom(context: Context, info: GraphQLResolveInfo): RoomRequest {
  const request = toRoomInside(context, info);
  if (request.memberPage === undefined) return request;
  return { ...request, memberPage: undefined, parts: [...new Set([...request.parts, 'members' as const])] };
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
      after: t.arg.string({ description: 'Only rooms after this cursor.' }),
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
    description: 'One room. Null if it does not exist or the viewer is not a member.',
    args: { id: t.arg.id({ required: true, description: "The room's UUID." }) },
    resolve: (_root, { id }, context, info) => getRoom(context.deps, context.viewer, id, toOneRoom(context, info)),
  }),
  bookingRoom: t.field({
    type: Room,
    nullable: true,
    description: 'The room of a booking. Null if it does not exist or the viewer is not a member.',
    args: { bookingId: t.arg.int({ required: true, description: "The booking's number." }) },
    resolve: (_root, { bookingId }, context, info) =>
      getBookingRoom(context.deps, context.viewer, bookingId, toOneRoom(context, info)),
  }),
  unreadCount: t.int({
    description: "The sum of unreadCount over all the viewer's rooms.",
    resolve: (_root, _args, { deps, viewer }) => countUnreadMessages(deps, viewer),
  }),
}));

const CreateRoomInput = builder.inputType('CreateRoomInput', {
  description: 'A room to create.',
  fields: (t) => ({
    type: t.field({
      type: RoomType,
      required: true,
      description: 'DIRECT or GROUP; the booking system creates BOOKING rooms.',
    }),
    name: t.string({ description: 'The name; GROUP only.' }),
    participantIds: t.idList({ required: true, description: 'The other members; the viewer is always added.' }),
  }),
});

const RenameRoomInput = builder.inputType('RenameRoomInput', {
  description: 'A new name for a GROUP.',
  fields: (t) => ({
    roomId: t.id({ required: true, description: 'The room; the viewer must be an admin of it.' }),
    name: t.string({ required: true, description: 'The new name, 1 to 100 characters.' }),
  }),
});

const UpdateRoomInput = builder.inputType('UpdateRoomInput', {
  description: 'The changes of a GROUP. Absent fields stay as they are.',
  fields: (t) => ({
    roomId: t.id({ required: true, description: 'The room; the viewer must be an admin of it.' }),
    name: t.string({ description: 'The new name, 1 to 100 characters; null leaves it as it is.' }),
    imageUrl: t.string({
      description: 'The new picture, an absolute https URL of at most 2,000 characters; null removes the picture.',
    }),
    imageId: t.id({
      description:
        'Instead of imageUrl: a completed upload of the viewer with the purpose ROOM_IMAGE. The picture before is erased.',
    }),
  }),
});

const InviteMembersInput = builder.inputType('InviteMembersInput', {
  description: 'Users to invite to a GROUP.',
  fields: (t) => ({
    roomId: t.id({ required: true, description: 'The room; any member may invite.' }),
    userIds: t.idList({ required: true, description: 'The users; those who are members already are skipped.' }),
  }),
});

const RemoveMemberInput = builder.inputType('RemoveMemberInput', {
  description: 'A member to remove from a GROUP.',
  fields: (t) => ({
    roomId: t.id({ required: true, description: 'The room; the viewer must be an admin of it.' }),
    userId: t.id({ required: true, description: 'The member to remove.' }),
  }),
});

const SetAdminInput = builder.inputType('SetAdminInput', {
  description: 'A member of a GROUP, and whether they are an admin.',
  fields: (t) => ({
    roomId: t.id({ required: true, description: 'The room; the viewer must be an admin of it.' }),
    userId: t.id({ required: true, description: 'A member of the room.' }),
    isAdmin: t.boolean({
      required: true,
      description: 'True grants the role, false revokes it; a room keeps at least one admin.',
    }),
  }),
});

const LeaveRoomInput = builder.inputType('LeaveRoomInput', {
  description: 'A room to leave.',
  fields: (t) => ({ roomId: t.id({ required: true, description: 'The room; GROUP or BOOKING only.' }) }),
});

const MarkReadInput = builder.inputType('MarkReadInput', {
  description: 'How far the viewer has read.',
  fields: (t) => ({
    roomId: t.id({ required: true, description: 'The room.' }),
    messageId: t.id({
      required: true,
      description: 'The newest message that the viewer has read. An older one does not move the mark back.',
    }),
  }),
});

const CreateRoomPayload = builder.objectRef<{ room: RoomShape; created: boolean }>('CreateRoomPayload').implement({
  description: 'The new room, or the existing DIRECT room.',
  fields: (t) => ({
    room: t.expose('room', { type: Room, description: 'The room.' }),
    created: t.exposeBoolean('created', { description: 'False if the DIRECT room existed already.' }),
  }),
});

const RoomPayload = builder.objectRef<{ room: RoomShape }>('RoomPayload').implement({
  description: 'The room after the change.',
  fields: (t) => ({ room: t.expose('room', { type: Room, description: 'The room right after the change.' }) }),
});

const LeaveRoomPayload = builder.objectRef<{ roomId: string }>('LeaveRoomPayload').implement({
  description: 'The room that the viewer left.',
  fields: (t) => ({
    roomId: t.exposeID('roomId', { description: 'The room; the viewer has no access to it any more.' }),
  }),
});

builder.mutationFields((t) => ({
  createRoom: t.field({
    type: CreateRoomPayload,
    description:
      'Creates a GROUP, or returns the DIRECT room with another user, which is created if there is none yet.',
    args: { input: t.arg({ type: CreateRoomInput, required: true, description: 'The kind of room and its members.' }) },
    resolve: (_root, { input }, context, info) =>
      createRoom(context.deps, context.viewer, input, toChangedRoom(context, info)),
  }),
  renameRoom: t.field({
    type: RoomPayload,
    description: 'Changes the name of a GROUP. Only for admins.',
    args: { input: t.arg({ type: RenameRoomInput, required: true, description: 'The room and its new name.' }) },
    resolve: (_root, { input }, context, info) =>
      renameRoom(context.deps, context.viewer, input, toChangedRoom(context, info)),
  }),
  updateRoom: t.field({
    type: RoomPayload,
    description:
      'Changes the name of a GROUP, its picture, or both. Only for admins. Each of them is an entry of the log.',
    args: { input: t.arg({ type: UpdateRoomInput, required: true, description: 'The room and its changes.' }) },
    resolve: (_root, { input }, context, info) =>
      updateRoom(context.deps, context.viewer, input, toChangedRoom(context, info)),
  }),
  inviteMembers: t.field({
    type: RoomPayload,
    description: 'Adds users to a GROUP. Any member may do this. New members see the whole history.',
    args: { input: t.arg({ type: InviteMembersInput, required: true, description: 'The room and the users.' }) },
    resolve: (_root, { input }, context, info) =>
      inviteMembers(context.deps, context.viewer, input, toChangedRoom(context, info)),
  }),
  removeMember: t.field({
    type: RoomPayload,
    description: 'Ends the membership of another user in a GROUP immediately. Only for admins.',
    args: { input: t.arg({ type: RemoveMemberInput, required: true, description: 'The room and the member.' }) },
    resolve: (_root, { input }, context, info) =>
      removeMember(context.deps, context.viewer, input, toChangedRoom(context, info)),
  }),
  setAdmin: t.field({
    type: RoomPayload,
    description: 'Grants or revokes the admin role of a member of a GROUP. Only for admins.',
    args: { input: t.arg({ type: SetAdminInput, required: true, description: 'The room, the member and the role.' }) },
    resolve: (_root, { input }, context, info) =>
      setAdmin(context.deps, context.viewer, input, toChangedRoom(context, info)),
  }),
  leaveRoom: t.field({
    type: LeaveRoomPayload,
    description: "Ends the viewer's membership. When the last admin leaves, the longest member becomes an admin.",
    args: { input: t.arg({ type: LeaveRoomInput, required: true, description: 'The room.' }) },
    resolve: (_root, { input }, { deps, viewer }) => leaveRoom(deps, viewer, input),
  }),
  markRead: t.field({
    type: RoomPayload,
    description: "Moves the viewer's read mark forward.",
    args: {
      input: t.arg({ type: MarkReadInput, required: true, description: 'The room and the newest message read.' }),
    },
    resolve: (_root, { input }, context, info) =>
      markRead(context.deps, context.viewer, input, toRoomInside(context, info)),
  }),
}));
