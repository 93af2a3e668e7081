import SchemaBuilder from '@pothos/core';
import PrismaPlugin from '@pothos/plugin-prisma';
import DataLoader from 'dataloader';
import { getDatamodel } from '../../dist/db/generated/pothos.js';
import { serveYoga } from './graphql-server.mjs';
import { viewerId } from './message.mjs';
import { prisma } from './prisma.mjs';

/**
 * graphql-yoga with Pothos and its Prisma plugin: relations as nested includes, counts through loaders. BENCH_JOINS=on
 * lets Prisma load relations by joins, which is a preview feature; without it, each relation is a separate query.
 */
const relationLoadStrategy = process.env.BENCH_JOINS === 'on' ? 'join' : 'query';
const builder = new SchemaBuilder({
  plugins: [PrismaPlugin],
  defaultFieldNullability: false,
  prisma: { client: prisma, dmmf: getDatamodel() },
});

async function countUnread(roomIds) {
  const marks = await prisma.chatRoomMember.findMany({
    where: { userId: viewerId, roomId: { in: [...roomIds] }, leftAt: null },
    select: { roomId: true, lastReadSeq: true, joinedSeq: true },
  });
  const counts = await prisma.chatMessage.groupBy({
    by: ['roomId'],
    where: {
      OR: marks.map(({ roomId, lastReadSeq, joinedSeq }) => ({
        roomId,
        seq: { gt: Math.max(lastReadSeq, joinedSeq) },
      })),
      senderId: { not: viewerId },
      type: { not: 'SYSTEM' },
      deletedAt: null,
    },
    _count: true,
  });
  const byRoom = new Map(counts.map(({ roomId, _count }) => [roomId, _count]));
  return roomIds.map((roomId) => byRoom.get(roomId) ?? 0);
}

async function loadMarks(roomIds) {
  const marks = await prisma.chatRoomMember.findMany({
    where: { roomId: { in: [...roomIds] }, leftAt: null },
    select: { roomId: true, userId: true, lastReadSeq: true },
  });
  return roomIds.map((roomId) => marks.filter((mark) => mark.roomId === roomId));
}

builder.prismaObject('ChatUser', {
  name: 'User',
  fields: (t) => ({ id: t.exposeID('id'), name: t.exposeString('name') }),
});
const Message = builder.prismaObject('ChatMessage', {
  name: 'Message',
  fields: (t) => ({
    id: t.exposeID('id'),
    seq: t.exposeInt('seq'),
    type: t.exposeString('type'),
    content: t.exposeString('content', { nullable: true }),
    senderName: t.exposeString('senderName'),
    createdAt: t.string({ select: { createdAt: true }, resolve: ({ createdAt }) => createdAt.toISOString() }),
    sender: t.relation('sender'),
    readCount: t.int({
      select: { roomId: true, seq: true, senderId: true },
      resolve: async ({ roomId, seq, senderId }, _args, { marks }) =>
        (await marks.load(roomId)).filter((mark) => mark.userId !== senderId && mark.lastReadSeq >= seq).length,
    }),
  }),
});
builder.prismaObject('ChatRoomMember', {
  name: 'Member',
  fields: (t) => ({
    isAdmin: t.exposeBoolean('isAdmin'),
    lastReadSeq: t.exposeInt('lastReadSeq'),
    user: t.relation('user'),
  }),
});
const Room = builder.prismaObject('ChatRoom', {
  name: 'Room',
  fields: (t) => ({
    id: t.exposeID('id'),
    type: t.exposeString('type'),
    name: t.exposeString('name', { nullable: true }),
    seq: t.exposeInt('seq'),
    updatedAt: t.string({ select: { updatedAt: true }, resolve: ({ updatedAt }) => updatedAt.toISOString() }),
    unreadCount: t.int({ select: { id: true }, resolve: ({ id }, _args, { unread }) => unread.load(id) }),
    members: t.relation('members', { query: { where: { leftAt: null }, orderBy: { joinedSeq: 'asc' } } }),
    lastMessage: t.field({
      type: Message,
      nullable: true,
      select: (_args, _context, nested) => ({
        messages: nested({ where: { deletedAt: null }, orderBy: { seq: 'desc' }, take: 1 }),
      }),
      resolve: ({ messages }) => messages[0],
    }),
    messages: t.relation('messages', {
      args: { last: t.arg.int({ required: true }) },
      query: ({ last }) => ({ orderBy: { seq: 'desc' }, take: last }),
    }),
  }),
});

const ownRooms = { members: { some: { userId: viewerId, leftAt: null } } };
builder.queryType({
  fields: (t) => ({
    rooms: t.prismaField({
      type: [Room],
      args: { first: t.arg.int({ required: true }) },
      resolve: (query, _root, { first }) =>
        prisma.chatRoom.findMany({
          ...query,
          relationLoadStrategy,
          where: ownRooms,
          orderBy: { updatedAt: 'desc' },
          take: first,
        }),
    }),
    room: t.prismaField({
      type: Room,
      nullable: true,
      args: { id: t.arg.id({ required: true }) },
      resolve: (query, _root, { id }) =>
        prisma.chatRoom.findFirst({ ...query, relationLoadStrategy, where: { id, ...ownRooms } }),
    }),
  }),
});

serveYoga(builder.toSchema(), {
  context: () => ({ unread: new DataLoader(countUnread), marks: new DataLoader(loadMarks) }),
});
