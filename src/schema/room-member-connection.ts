import { cursorOfMember } from '../db/members.js';
import type { Room as RoomShape } from '../db/rooms.js';
import { loadMemberCount } from '../resolvers/loaders.js';
import { assertMemberPageArgs, defaultMemberPageSize, listMembers } from '../resolvers/member-pages.js';
import { builder } from './builder.js';
import { checked } from './checked.js';
import { toConnection } from './connection.js';
import { ofViewer } from './of-viewer.js';
import { Room } from './room.js';
import { RoomMember } from './room-member.js';

const RoomMemberEdge = builder.edgeObject({
  type: RoomMember,
  name: 'RoomMemberEdge',
  nodeNullable: false,
  description: "A member in a page of a room's members.",
});

const RoomMemberConnection = builder.connectionObject<typeof RoomMember, { readonly room: RoomShape }>(
  {
    type: RoomMember,
    name: 'RoomMemberConnection',
    edgesNullable: { list: false, items: false },
    description: "A page of a room's members.",
    fields: (t) => ({
      totalCount: t.int({
        ...ofViewer,
        description: 'How many members the room has.',
        resolve: ({ room }, _args, { deps, viewer }) => loadMemberCount(deps, viewer, room),
      }),
    }),
  },
  RoomMemberEdge,
);

builder.objectField(Room, 'memberPage', (t) =>
  t.field({
    extensions: { ...ofViewer.extensions, ...checked(assertMemberPageArgs).extensions },
    type: RoomMemberConnection,
    description:
      'The members in pages, the longest member first; for rooms of any size. A member who leaves and rejoins between two pages appears twice: key members by their user.',
    args: {
      first: t.arg.int({
        defaultValue: defaultMemberPageSize,
        description: 'How many, at most 100 (limits.maxPageSize).',
      }),
      after: t.arg.string({ description: 'Only members after this cursor.' }),
    },
    complexity: ({ first }) => ({ field: 1, multiplier: first ?? defaultMemberPageSize }),
    resolve: (room, args, { deps, viewer }) =>
      toConnection(listMembers(deps, viewer, room, args), cursorOfMember, { room }),
  }),
);
