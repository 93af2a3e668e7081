import { randomUUID } from 'node:crypto';
import { Logger } from '@nestjs/common';
import { type ClientProxy, ClientProxyFactory, Transport } from '@nestjs/microservices';
import pg from 'pg';
import { firstValueFrom, TimeoutError, timeout } from 'rxjs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startDeployedNats } from '../support/nats.js';
import { unread } from '../support/operations.js';
import { describeWithNats } from '../support/requirements.js';
import { waitFor } from '../support/wait-for.js';
import { useWorld } from '../support/world.js';

const [kim, lee] = [4, 5];

describeWithNats("NestJS's own NATS client", () => {
  const world = useWorld({ instances: 2, nats: startDeployedNats });
  let nest: ClientProxy;
  beforeAll(async () => {
    Logger.overrideLogger(false);
    const { url: servers, logins } = world.nats;
    nest = ClientProxyFactory.create({ transport: Transport.NATS, options: { servers, ...logins.backend } });
    await nest.connect();
  });
  afterAll(() => nest?.close());

  // biome-ignore lint/suspicious/noExplicitAny: as a NestJS backend has it
  const send = (pattern: string, payload: unknown): Promise<any> =>
    firstValueFrom(nest.send(pattern, payload).pipe(timeout(15_000)));

  it('creates, lists, saves, reads and counts, and a GraphQL subscriber sees it live', async () => {
    const created = await send('chat.rooms.create', {
      type: 'GROUP',
      name: '골프 모임',
      memberIds: [kim, lee],
      memberNames: ['김철수', '이영희'],
    });
    expect(created).toMatchObject({ success: true, data: { name: '골프 모임', created: true } });
    const roomId: string = created.data.id;
    const subscriber = await world.client(lee, 1);
    const feed = subscriber.roomEvents({ roomId, afterSeq: 0 });
    await feed.count(2);

    const message = {
      id: randomUUID(),
      roomId,
      senderId: kim,
      senderName: '김철수',
      content: '안녕하세요',
      type: 'TEXT',
    };
    const saved = await send('chat.messages.save', message);
    const again = await send('chat.messages.save', message);
    expect([saved, again]).toMatchObject([{ data: { duplicate: false } }, { data: { duplicate: true } }]);

    const { data: rooms } = await send('chat.rooms.list', { userId: lee });
    expect(rooms).toMatchObject([{ id: roomId, unreadCount: 1, lastMessage: { id: message.id } }]);
    expect(await send('chat.messages.unreadCount', { userId: lee })).toEqual({
      success: true,
      data: { unreadCount: 1 },
    });
    const page = await send('chat.messages.list', { roomId, userId: lee, limit: 50, skip: 0 });
    expect(page).toMatchObject({ data: { messages: [{ content: '안녕하세요' }, { type: 'SYSTEM' }], hasMore: false } });
    const read = await send('chat.messages.markRead', { roomId, userId: lee, messageId: message.id });
    expect(read).toMatchObject({ success: true, data: { unreadCount: 0 } });

    const events = await feed.count(4);
    expect(events).toMatchObject([
      { __typename: 'MessageAdded', seq: 1, message: { system: { code: 'ROOM_CREATED' } } },
      { __typename: 'RoomReady' },
      { __typename: 'MessageAdded', seq: 2, message: { id: message.id, senderName: '김철수' } },
      { __typename: 'MemberRead', member: { user: { id: String(lee) }, lastReadSeq: 2 } },
    ]);
    expect(await subscriber.http(unread, {})).toEqual({ unreadCount: 0 });
  });

  it('receives a refusal as a response, as the callers of the seeds expect it', async () => {
    expect(await send('chat.rooms.get', { roomId: randomUUID(), userId: kim })).toMatchObject({
      success: false,
      code: 'NOT_FOUND',
    });
    expect(await send('chat.rooms.list', {})).toMatchObject({ success: false, code: 'BAD_USER_INPUT' });
  });

  it("receives a server fault in NestJS's own form, and throws it", async () => {
    await world.database.query('ALTER FUNCTION chat_introduce_users(integer[], text[]) RENAME TO chat_away');
    const input = { type: 'GROUP', memberIds: [kim, lee] };

    const failure = await send('chat.rooms.create', input).catch((error: unknown) => error);
    await world.database.query('ALTER FUNCTION chat_away(integer[], text[]) RENAME TO chat_introduce_users');

    expect(failure).toMatchObject({ status: 'error', message: 'Something went wrong on our side', code: 'INTERNAL' });
    expect(await send('chat.rooms.create', input)).toMatchObject({ success: true });
  });

  it('can emit a message that needs no answer', async () => {
    const { data: room } = await send('chat.rooms.create', { type: 'GROUP', memberIds: [kim, lee] });
    const feed = (await world.client(lee)).roomEvents({ roomId: room.id });
    await feed.count(1);

    const message = { id: randomUUID(), roomId: room.id, senderId: kim, content: '답 없이', type: 'TEXT' };
    await firstValueFrom(nest.emit('chat.messages.save', message), { defaultValue: undefined });

    expect((await feed.count(2))[1]).toMatchObject({ message: { id: message.id } });
  });

  it('gives up a request after its own timeout, and the late answer does no harm', async () => {
    const holder = new pg.Client({ connectionString: world.database.url });
    await holder.connect();
    await holder.query('BEGIN');
    await holder.query('LOCK TABLE chat_users IN ACCESS EXCLUSIVE MODE');
    const upsert = nest.send('chat.users.upsert', { userId: 50, name: '늦은 이름' });
    await expect(firstValueFrom(upsert.pipe(timeout(500)))).rejects.toThrow(TimeoutError);
    const next = send('chat.users.upsert', { userId: 51, name: '다음 이름' });

    await holder.query('COMMIT');
    await holder.end();

    expect(await next).toEqual({ success: true, data: { userId: 51, name: '다음 이름' } });
    const isNamed = async () =>
      (await world.database.query("SELECT FROM chat_users WHERE id = 50 AND name = '늦은 이름'")).length === 1;
    await waitFor(isNamed, { what: 'the late end of the request' });
    expect(await send('chat.users.upsert', { userId: 50, name: '새 이름' })).toMatchObject({
      data: { name: '새 이름' },
    });
  });

  it('fails at once if no instance is running, and works again once one is', async () => {
    await Promise.all(world.instances.map((instance) => instance.stop()));

    await expect(send('chat.rooms.list', { userId: kim })).rejects.not.toBeInstanceOf(TimeoutError);

    await world.start();
    expect(await send('chat.rooms.list', { userId: kim })).toMatchObject({ success: true });
  });
});
