import { describe, expect, it } from 'vitest';
import { createBookingRoom } from '../support/booking-room.js';
import type { ApiError, Feed, RoomEvent, TestClient } from '../support/client.js';
import {
  deleteMessage,
  editMessage,
  inviteMembers,
  leaveRoom,
  markRead,
  messageAdded,
  renameRoom,
} from '../support/operations.js';
import { describeWithNats } from '../support/requirements.js';
import { useWorld } from '../support/world.js';

describeWithNats('a conversation over two instances', () => {
  const world = useWorld();

  /** The types of room, and the notices that only each type has after a text of each user, an edit and a deletion. */
  const kinds = {
    DIRECT: { enter: (kim: TestClient, lee: TestClient) => kim.direct(lee.userId), act: async () => [] },
    GROUP: {
      enter: (kim: TestClient, lee: TestClient) => kim.group(lee.userId),
      act: async (roomId: string, kim: TestClient, lee: TestClient) => {
        await lee.http(inviteMembers, { input: { roomId, userIds: ['90', '91'] } });
        await kim.ws(renameRoom, { input: { roomId, name: '골프 모임' } });
        return [['MEMBERS_JOINED', '90', '91'], ['ROOM_RENAMED']];
      },
    },
    BOOKING: {
      enter: async (kim: TestClient, lee: TestClient) => {
        const { roomId } = await createBookingRoom(world.database.url, [kim.userId, lee.userId, 92]);
        return roomId;
      },
      act: async (roomId: string) => {
        const guest = await world.client(92, 1);
        await guest.http(leaveRoom, { input: { roomId } });
        return [['MEMBER_LEFT', '92']];
      },
    },
  };
  const follow = {
    WebSocket: (client: TestClient, roomId: string) => client.roomEvents({ roomId, afterSeq: 0 }),
    SSE: (client: TestClient, roomId: string) => client.roomEventsOverSse({ roomId, afterSeq: 0 }),
  };

  describe.each(['DIRECT', 'GROUP', 'BOOKING'] as const)('in a %s room', (type) => {
    it.each([
      ['WebSocket', 4, 5],
      ['SSE', 6, 7],
    ] as const)('arrives over %s in order, each entry once, at both ends', async (transport, kimId, leeId) => {
      const [kim, lee] = [await world.client(kimId, 0), await world.client(leeId, 1)];
      const room = await kinds[type].enter(kim, lee);
      const feeds = [follow[transport](kim, room), follow[transport](lee, room)];
      await Promise.all(feeds.map(ready));

      const first = await kim.sendOverWs(room, '안녕하세요');
      const second = await lee.send(room, '네, 안녕하세요');
      await kim.ws(editMessage, { input: { messageId: first.message.id, content: '안녕하세요!' } });
      await lee.http(deleteMessage, { input: { messageId: second.message.id } });
      const notices = await kinds[type].act(room, kim, lee);
      await kim.send(room, '끝');

      for (const feed of feeds) {
        const events = await feed.until((seen) => seen.some((event) => contentOf(event) === '끝'), 'the last message');
        expect(events.map(tell)).toEqual([
          ['MessageAdded', 1, 'ROOM_CREATED', ...createdBy(type, kimId, leeId)],
          ['RoomReady', 1],
          ['MessageAdded', 2, '안녕하세요'],
          ['MessageAdded', 3, '네, 안녕하세요'],
          ['MessageUpdated', 4, '안녕하세요!'],
          ['MessageDeleted', 5, null],
          ...notices.map((notice, index) => ['MessageAdded', 6 + index, ...notice]),
          ['MessageAdded', 6 + notices.length, '끝'],
        ]);
      }
    });
  });

  it('shows a moved read mark on the other instance', async () => {
    const [kim, lee] = [await world.client(4, 0), await world.client(5, 1)];
    const room = await kim.group(5);
    const feeds = [kim.roomEvents({ roomId: room }), lee.roomEventsOverSse({ roomId: room })];
    await Promise.all(feeds.map(ready));

    const { message } = await kim.send(room, '읽어 주세요');
    await lee.http(markRead, { input: { roomId: room, messageId: message.id } });

    for (const feed of feeds) {
      const events = await feed.count(3);
      expect(events[2]).toEqual({
        __typename: 'MemberRead',
        seq: 2,
        epoch: events[0]?.epoch,
        member: { user: { id: '5' }, lastReadSeq: 2 },
      });
    }
  });

  it('brings simple clients every new message and nothing else, replayed and live', async () => {
    const [kim, lee] = [await world.client(4, 0), await world.client(5, 1)];
    const room = await kim.group(5);
    const early = await kim.send(room, '하나');
    await kim.http(editMessage, { input: { messageId: early.message.id, content: '하나!' } });
    const feed = lee.subscribe(messageAdded, { roomId: room, afterSeq: 1 });
    await feed.count(1);

    await kim.http(deleteMessage, { input: { messageId: early.message.id } });
    await lee.http(inviteMembers, { input: { roomId: room, userIds: ['90'] } });
    await kim.send(room, '둘');

    const events = await feed.count(3);
    expect(events.map(({ messageAdded: { seq, type, content } }) => [seq, type, content])).toEqual([
      [2, 'TEXT', '하나!'],
      [5, 'SYSTEM', '이영희님이 #90님을 초대했습니다.'],
      [6, 'TEXT', '둘'],
    ]);
  });

  describe('a replay', () => {
    /** 1 created, 2 "하나", 3 and 4 its edits, 5 "둘", 6 an edit of "하나", 7 the deletion of "둘". */
    async function writeHistory(): Promise<string> {
      const kim = await world.client(4, 0);
      const room = await kim.group(5);
      const { message: one } = await kim.send(room, '하나');
      await kim.http(editMessage, { input: { messageId: one.id, content: '하나 반' } });
      await kim.http(editMessage, { input: { messageId: one.id, content: '하나 하고 반' } });
      const { message: two } = await kim.send(room, '둘');
      await kim.http(editMessage, { input: { messageId: one.id, content: '하나!' } });
      await kim.http(deleteMessage, { input: { messageId: two.id } });
      return room;
    }

    it.each<[string, number, ReturnType<typeof tell>[]]>([
      [
        'shows a message once, in its present state, if it was added and then changed',
        1,
        [
          ['MessageAdded', 2, '하나!'],
          ['MessageAdded', 5, null],
        ],
      ],
      [
        'shows several edits of one message once, as the last edit',
        2,
        [
          ['MessageAdded', 5, null],
          ['MessageUpdated', 6, '하나!'],
        ],
      ],
      [
        'shows changes of messages that the client had',
        5,
        [
          ['MessageUpdated', 6, '하나!'],
          ['MessageDeleted', 7, null],
        ],
      ],
      ['is empty at the head', 7, []],
    ])('%s', async (_title, afterSeq, expected) => {
      const room = await writeHistory();
      const lee = await world.client(5, 1);

      for (const feed of [
        lee.roomEvents({ roomId: room, afterSeq }),
        lee.roomEventsOverSse({ roomId: room, afterSeq }),
      ]) {
        await ready(feed);
        expect(feed.events.map(tell)).toEqual([...expected, ['RoomReady', 7]]);
      }
    });

    it('is empty without afterSeq', async () => {
      const room = await writeHistory();
      const feed = (await world.client(5, 1)).roomEvents({ roomId: room });

      await ready(feed);

      expect(feed.events.map(tell)).toEqual([['RoomReady', 7]]);
    });

    it('from beyond the head is a RoomResync, and continues live', async () => {
      const room = await writeHistory();
      const [kim, lee] = [await world.client(4, 0), await world.client(5, 1)];
      const feed = lee.roomEvents({ roomId: room, afterSeq: 99 });
      await ready(feed);

      await kim.send(room, '셋');

      expect((await feed.count(3)).map(tell)).toEqual([
        ['RoomResync', 7],
        ['RoomReady', 7],
        ['MessageAdded', 8, '셋'],
      ]);
    });
  });

  describe.each([
    ['a negative afterSeq', 4, -1, 'BAD_USER_INPUT'],
    ['a stranger', 99, 0, 'NOT_FOUND'],
  ])('%s', (_what, userId, afterSeq, code) => {
    it.each([
      ['roomEvents over WebSocket', (client: TestClient, roomId: string) => client.roomEvents({ roomId, afterSeq })],
      ['roomEvents over SSE', (client: TestClient, roomId: string) => client.roomEventsOverSse({ roomId, afterSeq })],
      ['messageAdded', (client: TestClient, roomId: string) => client.subscribe(messageAdded, { roomId, afterSeq })],
    ])(`is ${code} to %s`, async (_name, subscribe: (client: TestClient, roomId: string) => Ending) => {
      const room = await (await world.client(4)).group(5);
      const feed = subscribe(await world.client(userId, 1), room);

      expect(await feed.ended()).toMatchObject({ code });
      expect(feed.events).toEqual([]);
    });
  });

  it('refuses an edit of a state that is not the message’s any more, unless it has the text already', async () => {
    const kim = await world.client(4);
    const roomId = await kim.group(5);
    const { message } = await kim.send(roomId, 'v0');
    const edit = (content: string, editedAt?: string | null) =>
      kim.http(editMessage, { input: { messageId: message.id, content, ...(editedAt !== undefined && { editedAt }) } });
    const first = await edit('v1', null);
    const { editedAt } = first.editMessage.message;
    await edit('v2', editedAt);
    await expect(edit('v1', null)).rejects.toMatchObject({ code: 'CONFLICT' });
    await expect(edit('v3', editedAt)).rejects.toMatchObject({ code: 'CONFLICT' });
    // A repeat of what was done is done.
    await expect(edit('v2', editedAt)).resolves.toMatchObject({ editMessage: { message: { content: 'v2' } } });
    for (const bad of ['yesterday', '2026-13-01T00:00:00Z', '', 5 as unknown as string]) {
      await expect(edit('v3', bad)).rejects.toMatchObject({ code: 'BAD_USER_INPUT' });
    }
    await expect(edit('v3')).resolves.toMatchObject({ editMessage: { message: { content: 'v3' } } });
  });
});

interface Ending {
  readonly events: readonly unknown[];
  ended(): Promise<ApiError | undefined>;
}

const ready = (feed: Feed<RoomEvent>) =>
  feed.until((events) => events.some(({ __typename }) => __typename === 'RoomReady'), 'RoomReady');

const contentOf = (event: RoomEvent) => ('message' in event ? event.message.content : undefined);

/** An event in brief: its kind, its position, and the text or the notice. */
function tell(event: RoomEvent): (string | number | null)[] {
  const head = [event.__typename, event.seq];
  if (!('message' in event)) return head;
  const { content, system } = event.message;
  return system === null ? [...head, content] : [...head, system.code, ...system.users.map(({ id }) => id)];
}

const createdBy = (type: string, kimId: number, leeId: number) =>
  [kimId, leeId, ...(type === 'BOOKING' ? [92] : [])].map(String);
