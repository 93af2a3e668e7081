import 'reflect-metadata';
import { randomUUID } from 'node:crypto';
import type { Server as HttpServer } from 'node:http';
import { type INestApplication, Inject, Logger, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { JwtService } from '@nestjs/jwt';
import { type ClientProxy, ClientsModule, Transport } from '@nestjs/microservices';
import {
  type OnGatewayConnection,
  type OnGatewayDisconnect,
  SubscribeMessage,
  WebSocketGateway,
  WebSocketServer,
} from '@nestjs/websockets';
import type { JetStreamClient, NatsConnection, Subscription } from 'nats';
import { firstValueFrom } from 'rxjs';
import type { Namespace, Socket } from 'socket.io';
import { type ChatUser, jwtModule, verifyUser } from './auth.js';
import { connectToNats, ensureStreams, natsOptions, reportReady } from './nats.js';

/** A room that somebody here has joined, and its subscriptions in NATS for what other gateways publish. */
interface JoinedRoom {
  readonly socketIds: Set<string>;
  readonly subscriptions: readonly Subscription[];
}

type ChatSocket = Socket & { data: { user?: ChatUser; rooms: Set<string> } };

/**
 * The chat-gateway of the replaced system: a message is delivered to the room at once, and stored in parallel by the service,
 * which reads it from JetStream. As documented, the sender is answered before it is stored, joining a room checks no
 * membership, and a closed socket leaves its rooms. Added for speed: WebSocket only, and no echo of this gateway's own
 * publications.
 */
@WebSocketGateway({ namespace: '/chat', transports: ['websocket'], serveClient: false })
class ChatGateway implements OnGatewayConnection<ChatSocket>, OnGatewayDisconnect<ChatSocket> {
  @WebSocketServer() private readonly server: Namespace;
  private readonly log = new Logger('gateway');
  private readonly jetStream: JetStreamClient;
  private readonly userSockets = new Map<number, Set<string>>();
  private readonly rooms = new Map<string, JoinedRoom>();

  constructor(
    @Inject(JwtService) private readonly jwt: JwtService,
    @Inject('NATS') private readonly nats: NatsConnection,
    @Inject('CHAT_SERVICE') private readonly service: ClientProxy,
  ) {
    this.jetStream = nats.jetstream();
  }

  async handleConnection(socket: ChatSocket): Promise<void> {
    socket.data.rooms = new Set();
    try {
      const { auth, query } = socket.handshake;
      const user = await verifyUser(this.jwt, String(auth['token'] ?? query['token']));
      socket.data.user = user;
      const sockets = this.userSockets.get(user.userId);
      if (sockets === undefined) {
        this.userSockets.set(user.userId, new Set([socket.id]));
        this.publishPresence(user.userId, 'online');
      } else sockets.add(socket.id);
      socket.emit('connected', { userId: user.userId, name: user.name, socketId: socket.id });
    } catch {
      socket.emit('error', { message: 'Unauthorized' });
      socket.disconnect();
    }
  }

  handleDisconnect(socket: ChatSocket): void {
    const { user, rooms } = socket.data;
    if (user === undefined) return;
    const sockets = this.userSockets.get(user.userId);
    sockets?.delete(socket.id);
    if (sockets?.size === 0) {
      this.userSockets.delete(user.userId);
      this.publishPresence(user.userId, 'offline');
    }
    for (const roomId of rooms) this.leave(socket, user, roomId);
  }

  @SubscribeMessage('join_room')
  async joinRoom(socket: ChatSocket, { roomId }: { roomId: string }) {
    const { user, rooms } = socket.data;
    if (user === undefined) return { success: false };
    await socket.join(roomId);
    rooms.add(roomId);
    const room = this.rooms.get(roomId) ?? this.openRoom(roomId);
    room.socketIds.add(socket.id);
    socket.to(roomId).emit('user_joined', { roomId, userId: user.userId, userName: user.name });
    return { success: true, roomId };
  }

  @SubscribeMessage('leave_room')
  async leaveRoom(socket: ChatSocket, { roomId }: { roomId: string }) {
    const { user, rooms } = socket.data;
    if (user === undefined || !rooms.delete(roomId)) return { success: false };
    await socket.leave(roomId);
    this.leave(socket, user, roomId);
    return { success: true };
  }

  @SubscribeMessage('send_message')
  sendMessage(socket: ChatSocket, body: { id?: string; roomId: string; content: string; type?: string }) {
    const { user } = socket.data;
    if (user === undefined) return { success: false };
    const { id = randomUUID(), roomId, content, type = 'TEXT' } = body;
    const { userId: senderId, name: senderName } = user;
    const createdAt = new Date().toISOString();
    const message = { id, roomId, senderId, senderName, content, messageType: type, createdAt };
    this.server.to(roomId).emit('new_message', message);
    this.jetStream
      .publish(`chat.room.${roomId}.message`, JSON.stringify(message), { msgID: id })
      .catch((error: unknown) => this.log.error(`A message was not published: ${error}`));
    return { success: true, message };
  }

  @SubscribeMessage('typing')
  setTyping(socket: ChatSocket, { roomId, isTyping }: { roomId: string; isTyping: boolean }): void {
    const { user } = socket.data;
    if (user === undefined) return;
    const event = { roomId, userId: user.userId, userName: user.name, isTyping };
    socket.to(roomId).emit('typing', event);
    this.nats.publish(`chat.room.${roomId}.typing`, JSON.stringify(event));
  }

  /** Read marks: shown to the room at once, stored by the service, whose answer the reader gets. */
  @SubscribeMessage('mark_read')
  async markRead(socket: ChatSocket, { roomId, messageId }: { roomId: string; messageId: string }) {
    const { user } = socket.data;
    if (user === undefined) return { success: false };
    const mark = { roomId, userId: user.userId, messageId };
    socket.to(roomId).emit('message_read', mark);
    return firstValueFrom(this.service.send('chat.messages.markRead', mark));
  }

  private openRoom(roomId: string): JoinedRoom {
    const forward = (event: string) => (_error: unknown, message: { string(): string }) =>
      this.server.to(roomId).emit(event, JSON.parse(message.string()));
    const room = {
      socketIds: new Set<string>(),
      subscriptions: [
        this.nats.subscribe(`chat.room.${roomId}.message`, { callback: forward('new_message') }),
        this.nats.subscribe(`chat.room.${roomId}.typing`, { callback: forward('typing') }),
      ],
    };
    this.rooms.set(roomId, room);
    return room;
  }

  private leave(socket: ChatSocket, user: ChatUser, roomId: string): void {
    const room = this.rooms.get(roomId);
    room?.socketIds.delete(socket.id);
    if (room?.socketIds.size === 0) {
      for (const subscription of room.subscriptions) subscription.unsubscribe();
      this.rooms.delete(roomId);
    }
    this.server.to(roomId).emit('user_left', { roomId, userId: user.userId, userName: user.name });
  }

  private publishPresence(userId: number, status: 'online' | 'offline'): void {
    this.nats.publish(`chat.user.${userId}.presence`, JSON.stringify({ userId, status }));
  }
}

const nats = await connectToNats();
await ensureStreams(nats);

@Module({
  imports: [
    jwtModule,
    ClientsModule.register([{ name: 'CHAT_SERVICE', transport: Transport.NATS, options: natsOptions }]),
  ],
  providers: [ChatGateway, { provide: 'NATS', useValue: nats }],
})
class GatewayModule {}

const app: INestApplication<HttpServer> = await NestFactory.create(GatewayModule, { logger: ['error', 'warn'] });
await app.listen(0, '127.0.0.1');
reportReady(Number(new URL(await app.getUrl()).port));
