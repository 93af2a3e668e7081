import { createSchema } from 'graphql-yoga';
import { serveYoga } from './graphql-server.mjs';
import { viewerId } from './message.mjs';
import { prisma } from './prisma.mjs';

/**
 * graphql-yoga and a resolver with an array transaction of Prisma: the room's row, then the message. An array cannot pass a
 * number from one statement to the next, so this process counts the positions itself. It checks neither tokens nor
 * memberships.
 */
const rooms = await prisma.chatRoom.findMany({ select: { id: true, seq: true } });
const seqs = new Map(rooms.map(({ id, seq }) => [id, seq]));

async function sendMessage(_root, { input: { id, roomId, content } }) {
  const seq = seqs.get(roomId) + 1;
  seqs.set(roomId, seq);
  const [, message] = await prisma.$transaction([
    prisma.chatRoom.update({ where: { id: roomId }, data: { seq: { increment: 1 }, updatedAt: new Date() } }),
    prisma.chatMessage.create({
      data: { id, roomId, seq, changedSeq: seq, senderId: viewerId, senderName: '회원 1000', content },
    }),
  ]);
  return { message: { id: message.id, seq, createdAt: message.createdAt.toISOString() } };
}

serveYoga(
  createSchema({
    typeDefs: `
      type Message { id: ID! seq: Int! createdAt: String! }
      input SendMessageInput { id: ID! roomId: ID! content: String! }
      type SendMessagePayload { message: Message! }
      type Query { ok: Boolean! }
      type Mutation { sendMessage(input: SendMessageInput!): SendMessagePayload! }
    `,
    resolvers: { Query: { ok: () => true }, Mutation: { sendMessage } },
  }),
);
