import 'reflect-metadata';
import { randomUUID } from 'node:crypto';
import {
  Body,
  type CanActivate,
  Controller,
  Delete,
  type ExecutionContext,
  Get,
  Inject,
  Module,
  Param,
  Post,
  Query,
  Req,
  UnauthorizedException,
  UseGuards,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { JwtService } from '@nestjs/jwt';
import { type ClientProxy, ClientsModule, Transport } from '@nestjs/microservices';
import { type ChatUser, jwtModule, verifyUser } from './auth.js';
import { natsOptions, reportReady } from './nats.js';

interface ChatRequest {
  readonly headers: { readonly authorization?: string };
  user: ChatUser;
}

class TokenGuard implements CanActivate {
  constructor(@Inject(JwtService) private readonly jwt: JwtService) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const request = context.switchToHttp().getRequest<ChatRequest>();
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? '';
    request.user = await verifyUser(this.jwt, token).catch(() => {
      throw new UnauthorizedException();
    });
    return true;
  }
}

/** The user-api of the replaced system: each route verifies the token and passes a request to the service over NATS. */
@Controller('api/user/chat')
@UseGuards(TokenGuard)
class ChatController {
  constructor(@Inject('CHAT_SERVICE') private readonly service: ClientProxy) {}

  @Get('rooms')
  listRooms(@Req() { user }: ChatRequest) {
    return this.service.send('chat.rooms.list', { userId: user.userId });
  }

  @Get('rooms/:id')
  getRoom(@Req() { user }: ChatRequest, @Param('id') roomId: string) {
    return this.service.send('chat.rooms.get', { roomId, userId: user.userId });
  }

  @Post('rooms')
  createRoom(@Req() { user }: ChatRequest, @Body() body: { name?: string; type: string; participant_ids: string[] }) {
    const memberIds = [user.userId, ...body.participant_ids.map(Number)];
    const memberNames = memberIds.map((id) => (id === user.userId ? user.name : `회원 ${id}`));
    return this.service.send('chat.rooms.create', { name: body.name, type: body.type, memberIds, memberNames });
  }

  @Delete('rooms/:id/leave')
  leaveRoom(@Req() { user }: ChatRequest, @Param('id') roomId: string) {
    return this.service.send('chat.rooms.removeMember', { roomId, userId: user.userId });
  }

  @Get('rooms/:id/messages')
  listMessages(
    @Param('id') roomId: string,
    @Query('limit') limit: string | undefined,
    @Query('cursor') cursor: string | undefined,
  ) {
    return this.service.send('chat.messages.list', { roomId, limit: Number(limit ?? 50), cursor });
  }

  @Post('rooms/:id/messages')
  sendMessage(
    @Req() { user }: ChatRequest,
    @Param('id') roomId: string,
    @Body() { content, message_type }: { content: string; message_type?: string },
  ) {
    const sender = { senderId: user.userId, senderName: user.name };
    return this.service.send('chat.messages.save', {
      ...{ id: randomUUID(), roomId, ...sender, content, messageType: message_type },
    });
  }

  @Post('rooms/:id/read')
  markRead(@Req() { user }: ChatRequest, @Param('id') roomId: string, @Body() { messageId }: { messageId: string }) {
    return this.service.send('chat.messages.markRead', { roomId, userId: user.userId, messageId });
  }

  @Get('unread-count')
  countUnread(@Req() { user }: ChatRequest) {
    return this.service.send('chat.messages.unreadCount', { userId: user.userId });
  }
}

@Module({
  imports: [
    jwtModule,
    ClientsModule.register([{ name: 'CHAT_SERVICE', transport: Transport.NATS, options: natsOptions }]),
  ],
  controllers: [ChatController],
})
class BffModule {}

const app = await NestFactory.create(BffModule, { logger: ['error', 'warn'] });
app.getHttpAdapter().getInstance().set('etag', false);
await app.listen(0, '127.0.0.1');
reportReady(Number(new URL(await app.getUrl()).port));
