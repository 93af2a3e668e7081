import 'reflect-metadata';
import { Controller, Inject, Logger, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { MessagePattern, type MicroserviceOptions, Transport } from '@nestjs/microservices';
import { PrismaPg } from '@prisma/adapter-pg';
import type { JsMsg } from 'nats';
import { PrismaClient } from './generated/client.js';
import { connectToNats, consumerName, ensureConsumer, ensureStreams, natsOptions, reportReady } from './nats.js';

interface MessageBody {
  readonly id: string;
  readonly roomId: string;
  readonly senderId: number;
  readonly senderName: string;
  readonly content: string;
  readonly messageType?: 'TEXT' | 'IMAGE';
  readonly createdAt?: string;
}

interface ReadMark {
  readonly roomId: string;
  readonly userId: number;
  readonly messageId: string;
}

interface NewRoom {
  readonly name?: string;
  readonly type: 'DIRECT' | 'GROUP' | 'BOOKING';
  readonly memberIds: readonly number[];
  readonly memberNames: readonly string[];
}

/** A list shows a few members of each room, and a room some fifty, in this system and in Fairway alike. */
const listedMembers = 5;
const shownMembers = 50;
/** How many messages of the stream are stored at the same time. */
const storedAtOnce = 16;

const prisma = new PrismaClient({
  adapter: new PrismaPg({ connectionString: process.env['DATABASE_URL'] ?? '', max: 20 }),
  log: [],
});

/**
 * The chat-service of the replaced system: its request patterns over Prisma, on its tables. As a good engineer writes it: a list
 * is one joined query for rooms, members and last messages, and one for all unread counts; a message and its room's date are
 * one transaction.
 */
@Controller()
class ChatController {
  constructor(@Inject(PrismaClient) private readonly db: PrismaClient) {}

  @MessagePattern('chat.rooms.list')
  async listRooms({ userId }: { userId: number }) {
    const rooms = await this.db.chatRoom.findMany({
      relationLoadStrategy: 'join',
      where: { members: { some: { userId, leftAt: null } } },
      orderBy: { updatedAt: 'desc' },
      include: {
        members: { where: { leftAt: null }, orderBy: { joinedAt: 'asc' }, take: listedMembers },
        messages: { where: { deletedAt: null }, orderBy: { createdAt: 'desc' }, take: 1 },
      },
    });
    const unread = await this.countUnread(userId);
    const data = rooms.map(({ members, messages: [lastMessage = null], ...room }) => ({
      ...room,
      members: members.map(({ id, userId, userName, joinedAt }) => ({ id, userId, userName, joinedAt })),
      lastMessage,
      unreadCount: unread.get(room.id) ?? 0,
    }));
    return { success: true, data };
  }

  @MessagePattern('chat.rooms.get')
  async getRoom({ roomId, userId }: { roomId: string; userId: number }) {
    const room = await this.db.chatRoom.findFirst({
      relationLoadStrategy: 'join',
      where: { id: roomId, members: { some: { userId, leftAt: null } } },
      include: { members: { where: { leftAt: null }, orderBy: { joinedAt: 'asc' }, take: shownMembers } },
    });
    return room === null ? { success: false, error: 'Not found' } : { success: true, data: room };
  }

  @MessagePattern('chat.rooms.create')
  async createRoom({ name, type, memberIds, memberNames }: NewRoom) {
    if (type === 'DIRECT' && memberIds.length === 2) {
      const existing = await this.db.chatRoom.findFirst({
        where: { type, AND: memberIds.map((userId) => ({ members: { some: { userId } } })) },
        include: { members: true },
      });
      if (existing !== null) return { success: true, data: existing };
    }
    const members = memberIds.map((userId, place) => ({
      userId,
      userName: memberNames[place] ?? '',
      isAdmin: place === 0,
    }));
    const data = await this.db.chatRoom.create({
      data: { name: name ?? null, type, members: { create: members } },
      include: { members: true },
    });
    return { success: true, data };
  }

  @MessagePattern('chat.rooms.removeMember')
  async removeMember({ roomId, userId }: { roomId: string; userId: number }) {
    await this.db.chatRoomMember.updateMany({ where: { roomId, userId, leftAt: null }, data: { leftAt: new Date() } });
    return { success: true };
  }

  @MessagePattern('chat.messages.list')
  async listMessages({ roomId, limit, cursor }: { roomId: string; limit: number; cursor?: string }) {
    const found = await this.db.chatMessage.findMany({
      where: { roomId, deletedAt: null },
      orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
      take: limit + 1,
      ...(cursor === undefined ? {} : { cursor: { id: cursor }, skip: 1 }),
    });
    const messages = found.slice(0, limit);
    const hasMore = found.length > limit;
    return { success: true, data: { messages, hasMore, nextCursor: hasMore ? messages.at(-1)?.id : null } };
  }

  @MessagePattern('chat.messages.save')
  async saveMessage(body: MessageBody) {
    const existing = await this.db.chatMessage.findUnique({ where: { id: body.id } });
    if (existing !== null) return { success: true, data: existing };
    await this.store(body);
    return { success: true, data: body };
  }

  @MessagePattern('chat.messages.markRead')
  async markRead({ roomId, userId, messageId }: ReadMark) {
    const now = new Date();
    await this.db.$transaction([
      this.db.chatRoomMember.updateMany({
        where: { roomId, userId },
        data: { lastReadMessageId: messageId, lastReadAt: now },
      }),
      this.db.messageRead.create({ data: { messageId, userId, readAt: now } }),
    ]);
    return { success: true };
  }

  @MessagePattern('chat.messages.unreadCount')
  async countAllUnread({ userId }: { userId: number }) {
    const counts = await this.countUnread(userId);
    return { success: true, data: [...counts.values()].reduce((sum, count) => sum + count, 0) };
  }

  /** Stores a message of the stream; one that it has already changes nothing. */
  async store({ id, roomId, senderId, senderName, content, messageType = 'TEXT', createdAt }: MessageBody) {
    const at = createdAt === undefined ? new Date() : new Date(createdAt);
    const data = { id, roomId, senderId, senderName, content, type: messageType, createdAt: at };
    await this.db.$transaction([
      this.db.chatMessage.createMany({ data, skipDuplicates: true }),
      this.db.chatRoom.updateMany({ where: { id: roomId }, data: { updatedAt: at } }),
    ]);
  }

  /** One grouped query for all rooms, because each has its own mark. */
  private async countUnread(userId: number): Promise<Map<string, number>> {
    const marks = await this.db.chatRoomMember.findMany({
      where: { userId, leftAt: null },
      select: { roomId: true, lastReadAt: true, joinedAt: true },
    });
    if (marks.length === 0) return new Map();
    const counts = await this.db.chatMessage.groupBy({
      by: ['roomId'],
      where: {
        deletedAt: null,
        senderId: { not: userId },
        OR: marks.map(({ roomId, lastReadAt, joinedAt }) => ({ roomId, createdAt: { gt: lastReadAt ?? joinedAt } })),
      },
      _count: true,
    });
    return new Map(counts.map(({ roomId, _count }) => [roomId, _count]));
  }
}

@Module({ controllers: [ChatController], providers: [{ provide: PrismaClient, useValue: prisma }] })
class ServiceModule {}

const log = new Logger('service');
const connection = await connectToNats();
await ensureStreams(connection);
await ensureConsumer(connection);
await prisma.$connect();
const app = await NestFactory.createMicroservice<MicroserviceOptions>(ServiceModule, {
  transport: Transport.NATS,
  options: { ...natsOptions, queue: 'chat-service' },
  logger: ['error', 'warn'],
});
await app.listen();

const controller = app.get(ChatController);
/** A message that could not be stored is delivered again. */
async function consume(message: JsMsg): Promise<void> {
  try {
    await controller.store(message.json<MessageBody>());
    message.ack();
  } catch (error) {
    log.error(`A message was not stored: ${error}`);
    message.nak(1_000);
  }
}

const consumer = await connection.jetstream().consumers.get('CHAT_MESSAGES', consumerName);
const messages = await consumer.consume({ max_messages: 200 });
reportReady(0);
const running = new Set<Promise<void>>();
for await (const message of messages) {
  const storing = consume(message).finally(() => running.delete(storing));
  running.add(storing);
  if (running.size >= storedAtOnce) await Promise.race(running);
}
