import { randomInt, randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Backend } from '../support/backend.js';
import type { TestClient } from '../support/client.js';
import { startDeployedNats } from '../support/nats.js';
import { bookingRoom, deleteMessage, editMessage, leaveRoom, markRead } from '../support/operations.js';
import { describeWithNats } from '../support/requirements.js';
import { listsOf, stop, type, typingNow, untilListed, watch } from '../support/typing.js';
import { useWorld } from '../support/world.js';

const [kim, lee, park] = [4, 5, 6];

describeWithNats('the room of a booking', () => {
  const world = useWorld({ instances: 2, nats: startDeployedNats });
  let booking: Backend;
  beforeAll(async () => {
    booking = await Backend.connect(world.nats, world.nats.logins.booking);
  });
  afterAll(() => booking?.close());

  async function book(...memberIds: number[]): Promise<{ bookingId: number; roomId: string }> {
    const bookingId = randomInt(1, 2 ** 31);
    const { data } = await booking.ask('chat.rooms.create', { type: 'BOOKING', bookingId, memberIds });
    return { bookingId, roomId: data.id };
  }
  const sync = (bookingId: number, version: number, ...userIds: number[]) => {
    const members = userIds.map((userId) => ({ userId, userName: `손님 ${userId}` }));
    return booking.ask('chat.rooms.syncMembers', { bookingId, version, members });
  };
  const outcome = (attempt: Promise<unknown>) =>
    attempt.then(
      () => 'OK',
      ({ code, message }: { code: string; message: string }) =>
        `${code}${/cancelled/.test(message) ? ': cancelled' : ''}`,
    );

  it('shows joins and leaves live, and ends the feed of a removed member', async () => {
    const { bookingId, roomId } = await book(kim, lee);
    const [stays, goes] = [await world.client(kim, 0), await world.client(lee, 1)];
    const feeds = [stays, goes].map((client) => client.roomEvents({ roomId }));
    await Promise.all(feeds.map((feed) => feed.count(1)));

    expect(await sync(bookingId, 2, kim, park)).toMatchObject({ success: true, data: { applied: true, seq: 3 } });

    expect((await feeds[0]?.count(3))?.slice(1)).toMatchObject([
      { seq: 2, message: { system: { code: 'MEMBER_REMOVED', users: [{ id: String(lee) }] } } },
      { seq: 3, message: { system: { code: 'MEMBERS_JOINED', users: [{ id: String(park) }] } } },
    ]);
    expect(await feeds[1]?.ended()).toMatchObject({ code: 'FORBIDDEN' });
    expect(await outcome(goes.send(roomId, '저는요?'))).toBe('NOT_FOUND');
    expect(await outcome((await world.client(park)).send(roomId, '왔습니다'))).toBe('OK');
  });

  it('ends typing on every instance when it is cancelled, and refuses further typing', async () => {
    const { bookingId, roomId } = await book(kim, lee);
    const [sees, types] = [[await world.client(kim, 0), await world.client(kim, 1)], await world.client(lee, 1)];
    const feeds = sees.map((client) => watch(client, roomId));
    await Promise.all(feeds.map((feed) => feed.count(1)));
    await type(types, roomId);
    await Promise.all(feeds.map((feed) => untilListed(feed, types)));
    // This signal waits for its turn, which comes after the cancellation.
    await type(types, roomId);
    await booking.ask('chat.rooms.cancel', { bookingId });
    await Promise.all(feeds.map((feed) => untilListed(feed)));
    for (const client of sees) expect(await typingNow(client, roomId)).toEqual([]);

    // A signal within the same second is merged with the last one and not checked again.
    await delay(1_200);
    expect(await outcome(type(types, roomId))).toBe('FORBIDDEN: cancelled');
    expect(await outcome(stop(types, roomId))).toBe('FORBIDDEN: cancelled');
    expect(await outcome(type(await world.client(park), roomId))).toBe('NOT_FOUND');
    const late = watch(sees[0] as TestClient, roomId);
    await late.count(1);
    for (const feed of feeds) expect(listsOf(feed)).toEqual([[], [lee], []]);
    expect(listsOf(late)).toEqual([[]]);
  });

  it('ignores a version that is not newer than the last', async () => {
    const { bookingId } = await book(kim);
    await sync(bookingId, 7, kim, lee);

    for (const version of [7, 6, 0]) {
      expect(await sync(bookingId, version, park)).toMatchObject({ success: true, data: { applied: false, seq: 2 } });
    }
    expect(await sync(bookingId, 8, park)).toMatchObject({ data: { applied: true, members: [{ userId: park }] } });
  });

  it('is created once: creating it again changes nothing, whatever the version', async () => {
    const { bookingId, roomId } = await book(kim, lee);
    await sync(bookingId, 2, kim, lee);

    for (const version of [undefined, 0, 3, 9e12]) {
      const again = { type: 'BOOKING', bookingId, name: '남의 방', memberIds: [park], memberNames: ['박'], version };
      const { data } = await booking.ask('chat.rooms.create', again);
      expect(data).toMatchObject({ id: roomId, created: false, name: null, seq: 1 });
      expect(idsOf(data)).toEqual([kim, lee]);
    }

    expect(await sync(bookingId, 3, kim)).toMatchObject({ data: { applied: true, members: [{ userId: kim }] } });
  });

  it('is filled once by create if it was only cancelled before', async () => {
    const bookingId = randomInt(1, 2 ** 31);
    await booking.ask('chat.rooms.cancel', { bookingId });
    const create = (...memberIds: number[]) =>
      booking.ask('chat.rooms.create', { type: 'BOOKING', bookingId, memberIds, version: 1 });

    const { data: made } = await create(kim);
    const { data: again } = await create(park);

    expect(made).toMatchObject({ created: true, cancelledAt: expect.any(String), members: [{ userId: kim }] });
    expect(again).toMatchObject({ id: made.id, created: false, seq: made.seq, members: [{ userId: kim }] });
  });

  it('stays empty, whatever create says, if a sync emptied it before', async () => {
    const bookingId = randomInt(1, 2 ** 31);
    await sync(bookingId, 2);

    const late = { type: 'BOOKING', bookingId, name: '남의 방', memberIds: [park], version: 9e12 };
    const { data } = await booking.ask('chat.rooms.create', late);

    expect(data).toMatchObject({ created: false, name: null, seq: 0, members: [] });
    expect(await sync(bookingId, 3, kim)).toMatchObject({ data: { applied: true, members: [{ userId: kim }] } });
  });

  it.each([[[1, 2, 3]], [[1, 3, 2]], [[2, 1, 3]], [[2, 3, 1]], [[3, 1, 2]], [[3, 2, 1]]])(
    'has the name of the highest version that gives one, in the order %s',
    async (order) => {
      const bookingId = randomInt(1, 2 ** 31);
      const names: Record<number, string> = { 1: '아침', 2: '저녁' };
      const tell = (version: number) =>
        booking.ask('chat.rooms.syncMembers', { bookingId, version, name: names[version], members: [{ userId: kim }] });

      for (const version of order) await tell(version);

      const { data } = await tell(0);
      expect(data).toMatchObject({ name: '저녁' });
      const renamings = order.filter((version) => names[version] !== undefined);
      expect(data.seq).toBe(1 + (order[0] === 3 ? 1 : 0) + (renamings[0] === 1 ? 1 : 0));
    },
  );

  it('keeps a name that a higher version repeats', async () => {
    const bookingId = randomInt(1, 2 ** 31);
    const tell = (version: number, name: string) =>
      booking.ask('chat.rooms.syncMembers', { bookingId, version, name, members: [{ userId: kim }] });

    await tell(1, '아침');
    await tell(5, '아침');

    expect(await tell(3, '저녁')).toMatchObject({ data: { name: '아침', seq: 1 } });
  });

  it('is closed for writing once it was cancelled, and stays open for reading, deleting and leaving', async () => {
    const { bookingId, roomId } = await book(kim, lee);
    const [author, reader] = [await world.client(kim, 0), await world.client(lee, 1)];
    const { message } = await author.send(roomId, '몇 시에 볼까요?', randomUUID());
    const feed = reader.roomEvents({ roomId });
    await feed.count(1);

    const cancelled = [1, 2, 3].map(() => booking.ask('chat.rooms.cancel', { bookingId }));
    expect(await Promise.all(cancelled)).toMatchObject(Array(3).fill({ success: true, data: { seq: 3 } }));

    expect((await feed.count(2))[1]).toMatchObject({ seq: 3, message: { system: { code: 'BOOKING_CANCELLED' } } });
    const input = { id: randomUUID(), roomId, senderId: kim, content: '공지', type: 'SYSTEM' };
    expect(await booking.ask('chat.messages.save', input)).toMatchObject({ code: 'FORBIDDEN' });
    const { id: messageId } = message;
    expect({
      send: await outcome(author.send(roomId, '아직 되나요?')),
      sendOverWs: await outcome(author.sendOverWs(roomId, '아직 되나요?')),
      retry: await outcome(author.send(roomId, '몇 시에 볼까요?', messageId)),
      edit: await outcome(author.http(editMessage, { input: { messageId, content: '몇 시?' } })),
      read: await outcome(reader.http(markRead, { input: { roomId, messageId } })),
      delete: await outcome(author.http(deleteMessage, { input: { messageId } })),
      leave: await outcome(reader.http(leaveRoom, { input: { roomId } })),
    }).toEqual({
      send: 'FORBIDDEN: cancelled',
      sendOverWs: 'FORBIDDEN: cancelled',
      retry: 'OK',
      edit: 'FORBIDDEN: cancelled',
      read: 'OK',
      delete: 'OK',
      leave: 'OK',
    });
    const { bookingRoom: room } = await author.http(bookingRoom, { bookingId });
    expect(room).toMatchObject({ id: roomId, cancelledAt: expect.any(String) });
  });

  it('reaches the same state by 10 concurrent syncs of different versions', async () => {
    const { bookingId } = await book(kim);
    const versions = [3, 9, 1, 10, 4, 2, 8, 6, 7, 5];

    await Promise.all(versions.map((version) => sync(bookingId, version, kim, 100 + version)));

    const { data } = await sync(bookingId, 0, kim);
    expect(idsOf(data)).toEqual([kim, 110]);
  });
});

const idsOf = ({ members }: { members: { userId: number }[] }) => members.map(({ userId }) => userId);
