import { describe, expect, it } from 'vitest';
import { createBookingRoom } from '../support/booking-room.js';
import type { TestClient } from '../support/client.js';
import {
  addedEdges,
  around,
  createRoom,
  deleteMessage,
  history,
  inviteMembers,
  leaveRoom,
  oneRoom,
  renameRoom,
  roomList,
} from '../support/operations.js';
import { describeWithNats } from '../support/requirements.js';
import { useWorld } from '../support/world.js';
import type { CreateRoomInput } from './generated/graphql.js';

interface PageArgs {
  readonly first?: number;
  readonly after?: string | null | undefined;
  readonly last?: number;
  readonly before?: string | null | undefined;
}

describeWithNats('paging', () => {
  const world = useWorld({ instances: 1 });

  /** A GROUP with `count` texts after its first entry: positions 1 to count + 1. */
  async function makeRoom(client: TestClient, count: number): Promise<string> {
    const room = await client.group(5);
    for (let i = 1; i <= count; i += 1) await client.send(room, `${i}`);
    return room;
  }

  async function readPage(client: TestClient, id: string, args: PageArgs) {
    const { after = null, before = null, ...counts } = args;
    const { room } = await client.http(history, { id, ...counts, after, before });
    if (room === null || room === undefined) throw new Error('The room is not there');
    const { edges, pageInfo } = room.messages;
    return { seqs: edges.map(({ node }) => node.seq), cursors: edges.map(({ cursor }) => cursor), pageInfo };
  }

  describe('the history', () => {
    it('is read around a message, with cursors that continue in both directions', async () => {
      const kim = await world.client(4);
      const room = await makeRoom(kim, 9);
      const { room: found } = await kim.http(history, { id: room, first: 10, after: null, before: null });
      const ids = found?.messages.edges.map(({ node }) => node.id) ?? [];
      const readAround = async (place: number, count?: number) => {
        const variables = { id: room, messageId: ids[place] ?? '', ...(count === undefined ? {} : { count }) };
        const page = (await kim.http(around, variables)).room?.messagesAround;
        if (page === undefined) throw new Error('The room is not there');
        return { ...page, seqs: page.edges.map(({ node }) => node.seq) };
      };

      const middle = await readAround(4, 4);
      expect(middle.seqs).toEqual([3, 4, 5, 6]);
      expect(middle.pageInfo).toMatchObject({ hasPreviousPage: true, hasNextPage: true });
      expect(middle.edges.map(({ node }) => node.cursor)).toEqual(middle.edges.map(({ cursor }) => cursor));
      expect(middle.edges[1]?.node).toMatchObject({ sender: { name: '김철수' }, readCount: 0, unreadMemberCount: 1 });
      const newer = await readPage(kim, room, { first: 10, after: middle.pageInfo.endCursor });
      const older = await readPage(kim, room, { last: 10, before: middle.pageInfo.startCursor });
      expect([...older.seqs, ...middle.seqs, ...newer.seqs]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);

      const [first, last, alone, all] = [
        await readAround(0, 5),
        await readAround(9, 5),
        await readAround(4, 1),
        await readAround(4),
      ];
      expect([first.seqs, last.seqs, alone.seqs]).toEqual([[1, 2, 3], [8, 9, 10], [5]]);
      expect(all.seqs).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
      expect([first, last, alone, all].map(({ pageInfo }) => [pageInfo.hasPreviousPage, pageInfo.hasNextPage])).toEqual(
        [
          [false, true],
          [true, false],
          [true, true],
          [false, false],
        ],
      );

      await kim.http(deleteMessage, { input: { messageId: ids[4] ?? '' } });
      expect((await readAround(4, 3)).seqs, 'around a deleted message').toEqual([4, 5, 6]);
    });

    it('is not read around a message of another room, or with a bad count', async () => {
      const [kim, lee] = [await world.client(4), await world.client(5)];
      const [room, other] = [await makeRoom(kim, 1), await makeRoom(lee, 0)];
      const { message } = await kim.send(room, '여기');
      const foreign = (await lee.send(other, '저기')).message.id;
      const attempts = [
        { messageId: foreign },
        { messageId: '5f0f6e1c-0000-4000-8000-000000000000' },
        { messageId: 'nonsense' },
        { messageId: message.id, count: 0 },
        { messageId: message.id, count: 101 },
      ];
      for (const attempt of attempts) {
        await expect(kim.http(around, { id: room, ...attempt }), JSON.stringify(attempt)).rejects.toMatchObject({
          code: 'BAD_USER_INPUT',
        });
      }
    });

    it('has a cursor in each message and in the edge of each live one', async () => {
      const kim = await world.client(4);
      const room = await makeRoom(kim, 1);
      const live = kim.subscribe(addedEdges, { roomId: room });
      await live.count(1);
      const { message } = await kim.send(room, '새 글');
      await kim.send(room, '더 새 글');
      const [, added] = await live.count(3);
      live.stop();

      const edge = added?.roomEvents.__typename === 'MessageAdded' ? added.roomEvents.edge : undefined;
      expect(edge?.node).toEqual({ id: message.id, sender: { name: '김철수' } });
      expect((await readPage(kim, room, { first: 5, after: edge?.cursor })).seqs).toEqual([4]);
    });

    it('is read forward, oldest first', async () => {
      const kim = await world.client(4);
      const room = await makeRoom(kim, 6);

      const one = await readPage(kim, room, { first: 3 });
      const two = await readPage(kim, room, { first: 3, after: one.pageInfo.endCursor });
      const three = await readPage(kim, room, { first: 3, after: two.pageInfo.endCursor });

      expect([one.seqs, two.seqs, three.seqs]).toEqual([[1, 2, 3], [4, 5, 6], [7]]);
      expect([one, two, three].map(({ pageInfo }) => [pageInfo.hasPreviousPage, pageInfo.hasNextPage])).toEqual([
        [false, true],
        [true, true],
        [true, false],
      ]);
      expect(one.pageInfo).toMatchObject({ startCursor: one.cursors[0], endCursor: one.cursors[2] });
    });

    it('is read backward from the newest, each page oldest first', async () => {
      const kim = await world.client(4);
      const room = await makeRoom(kim, 6);

      const one = await readPage(kim, room, { last: 3 });
      const two = await readPage(kim, room, { last: 3, before: one.pageInfo.startCursor });
      const three = await readPage(kim, room, { last: 3, before: two.pageInfo.startCursor });

      expect([one.seqs, two.seqs, three.seqs]).toEqual([[5, 6, 7], [2, 3, 4], [1]]);
      expect([one, two, three].map(({ pageInfo }) => [pageInfo.hasPreviousPage, pageInfo.hasNextPage])).toEqual([
        [true, false],
        [true, true],
        [false, true],
      ]);
    });

    it('lies strictly between two cursors', async () => {
      const kim = await world.client(4);
      const room = await makeRoom(kim, 6);
      const { cursors } = await readPage(kim, room, { first: 10 });
      const between = { after: cursors[1], before: cursors[5] };

      expect((await readPage(kim, room, { first: 10, ...between })).seqs).toEqual([3, 4, 5]);
      expect((await readPage(kim, room, { last: 2, ...between })).seqs).toEqual([4, 5]);
      expect((await readPage(kim, room, { last: 2, before: cursors[0] })).seqs).toEqual([]);
    });

    it('keeps its pages while messages arrive and are deleted', async () => {
      const [kim, lee] = [await world.client(4), await world.client(5)];
      const room = await makeRoom(kim, 20);
      const back: number[][] = [];
      const forth: number[][] = [];
      let [before, after]: (string | null)[] = [null, null];

      for (let turn = 0; turn < 5; turn += 1) {
        const older = await readPage(kim, room, { last: 5, before });
        const newer = await readPage(kim, room, { first: 5, after });
        [before, after] = [older.pageInfo.startCursor, newer.pageInfo.endCursor];
        [back[turn], forth[turn]] = [older.seqs, newer.seqs];
        const { message } = await lee.send(room, '끼어든 말');
        if (turn === 2) await lee.http(deleteMessage, { input: { messageId: message.id } });
      }

      expect(back).toEqual([[17, 18, 19, 20, 21], [12, 13, 14, 15, 16], [7, 8, 9, 10, 11], [2, 3, 4, 5, 6], [1]]);
      // The deletion took position 25; no message stands there.
      expect(forth).toEqual([
        [1, 2, 3, 4, 5],
        [6, 7, 8, 9, 10],
        [11, 12, 13, 14, 15],
        [16, 17, 18, 19, 20],
        [21, 22, 23, 24, 26],
      ]);
    });

    const forged = (text: string) => Buffer.from(text).toString('base64url');

    it.each<[string, PageArgs, RegExp]>([
      ['neither first nor last', {}, /first or last/],
      ['both first and last', { first: 1, last: 1 }, /first or last, not both/],
      ['first over 100', { first: 101 }, /first must be at most 100/],
      ['last over 100', { last: 101 }, /last must be at most 100/],
      ['first 0', { first: 0 }, /first must be at least 1/],
      ['last 0', { last: 0 }, /last must be at least 1/],
      ['first -1', { first: -1 }, /first must be at least 1/],
      ['last -2147483648', { last: -2_147_483_648 }, /last must be at least 1/],
      ['an empty after', { first: 1, after: '' }, /not a cursor/],
      ['garbage in after', { first: 1, after: '%%% 아무거나' }, /not a cursor.*아무거나/],
      ['garbage in before', { last: 1, before: 'bm9uc2Vuc2U' }, /not a cursor.*bm9uc2Vuc2U/],
      ['a made-up position', { first: 1, after: forged('message 99999999999') }, /not a cursor/],
      ['a negative position', { first: 1, after: forged('message -1') }, /not a cursor/],
    ])('with %s is BAD_USER_INPUT with the reason', async (_what, args, message) => {
      const kim = await world.client(4);
      const room = await makeRoom(kim, 1);

      const refused = kim.http(history, { id: room, ...args });

      await expect(refused).rejects.toMatchObject({ code: 'BAD_USER_INPUT', message: expect.stringMatching(message) });
    });

    it('refuses cursors of the room list and of another room', async () => {
      const kim = await world.client(4);
      const [room, other] = [await makeRoom(kim, 1), await makeRoom(kim, 1)];
      const { rooms } = await kim.http(roomList, { first: 1 });
      const { cursors } = await readPage(kim, other, { first: 1 });

      for (const after of [rooms.edges[0]?.cursor, cursors[0]]) {
        await expect(readPage(kim, room, { first: 1, after })).rejects.toMatchObject({
          code: 'BAD_USER_INPUT',
          message: expect.stringContaining('not a cursor'),
        });
      }
    });
  });

  describe('the room list', () => {
    const idsOf = async (
      client: TestClient,
      args: { first?: number; after?: string | null; type?: 'DIRECT' | 'GROUP' | 'BOOKING' },
    ) => {
      const { rooms } = await client.http(roomList, args);
      return {
        ids: rooms.edges.map(({ node }) => node.id),
        cursors: rooms.edges.map(({ cursor }) => cursor),
        ...rooms,
      };
    };

    it('is in the order of the newest activity, page by page', async () => {
      const kim = await world.client(20);
      const rooms: string[] = [];
      for (let i = 0; i < 5; i += 1) rooms.push(await kim.group(5));
      for (const index of [3, 0, 4]) await kim.send(rooms[index] ?? '', '안녕');

      const one = await idsOf(kim, { first: 2 });
      const two = await idsOf(kim, { first: 2, after: one.pageInfo.endCursor });
      const three = await idsOf(kim, { first: 2, after: two.pageInfo.endCursor });

      expect([one.ids, two.ids, three.ids]).toEqual([[rooms[4], rooms[0]], [rooms[3], rooms[2]], [rooms[1]]]);
      expect([one, two, three].map(({ pageInfo }) => [pageInfo.hasPreviousPage, pageInfo.hasNextPage])).toEqual([
        [false, true],
        [true, true],
        [true, false],
      ]);
      expect((await idsOf(kim, {})).ids).toHaveLength(5);
    });

    it('repeats no room on a later page when one of them moves to the top meanwhile', async () => {
      const kim = await world.client(21);
      const rooms: string[] = [];
      for (let i = 0; i < 4; i += 1) rooms.unshift(await kim.group(5));

      const one = await idsOf(kim, { first: 2 });
      await kim.send(rooms[1] ?? '', '위로');
      const two = await idsOf(kim, { first: 2, after: one.pageInfo.endCursor });

      expect([one.ids, two.ids]).toEqual([rooms.slice(0, 2), rooms.slice(2)]);
    });

    it('has the rooms of one type', async () => {
      const kim = await world.client(22);
      const [direct, group] = [await kim.direct(5), await kim.group(5)];
      const { roomId: booking } = await createBookingRoom(world.database.url, [22, 5]);

      const typed = [
        await idsOf(kim, { type: 'DIRECT' }),
        await idsOf(kim, { type: 'GROUP' }),
        await idsOf(kim, { type: 'BOOKING' }),
      ];

      expect(typed.map(({ ids }) => ids)).toEqual([[direct], [group], [booking]]);
      expect((await idsOf(kim, {})).ids).toEqual([booking, group, direct]);
    });

    const uuid = '0196f3a0-0000-7000-8000-000000000000';
    it.each<[string, { first?: number; after?: string }, RegExp]>([
      ['first over 100', { first: 101 }, /first must be at most 100/],
      ['first 0', { first: 0 }, /first must be at least 1/],
      ['first -5', { first: -5 }, /first must be at least 1/],
      ['garbage in after', { after: '아무거나' }, /not a cursor/],
      ['an invalid time', { after: `room 2026-13-45T99:00:00.000Z ${uuid}` }, /not a cursor/],
      ['an invalid id', { after: `room 2026-01-01T00:00:00.000Z ${'-'.repeat(36)}` }, /not a cursor/],
      ['a cursor of messages', { after: 'message 1' }, /not a cursor/],
    ])('with %s is BAD_USER_INPUT with the reason', async (_what, { first, after }, message) => {
      const kim = await world.client(4);
      const forged = after === undefined ? {} : { after: Buffer.from(after).toString('base64url') };

      const refused = kim.http(roomList, { ...(first === undefined ? {} : { first }), ...forged });

      await expect(refused).rejects.toMatchObject({ code: 'BAD_USER_INPUT', message: expect.stringMatching(message) });
    });
  });

  describe('a room', () => {
    const read = async (client: TestClient, id: string) => {
      const { room } = await client.http(oneRoom, { id });
      if (room === null || room === undefined) throw new Error('The room is not there');
      return room;
    };

    it("is titled by its name, or else by the other members' names", async () => {
      const [kim, lee, park] = [await world.client(4), await world.client(5), await world.client(6)];
      await Promise.all([lee, park].map((client) => client.http(roomList, {})));
      const [direct, group] = [await kim.direct(5), await kim.group(5, 6, 301)];

      expect((await read(kim, direct)).title).toBe('이영희');
      expect((await read(lee, direct)).title).toBe('김철수');
      expect(await read(kim, group)).toMatchObject({ name: null, title: '이영희, 박영희, #301' });
      expect((await read(park, group)).title).toBe('김철수, 이영희, #301');

      await kim.http(renameRoom, { input: { roomId: group, name: '골프 모임' } });
      expect(await read(park, group)).toMatchObject({ name: '골프 모임', title: '골프 모임' });
    });

    it('without a name is titled by ten of many members, and by the viewer if they are alone', async () => {
      const kim = await world.client(4);
      const others = Array.from({ length: 12 }, (_, index) => 400 + index);

      const crowd = await read(kim, await kim.group(...others));
      const alone = await read(kim, await kim.group());

      expect(crowd.title).toBe(
        `${others
          .slice(0, 10)
          .map((id) => `#${id}`)
          .join(', ')} 외 2명`,
      );
      expect(alone.title).toBe('김철수');
    });

    it('is created with a name', async () => {
      const kim = await world.client(4);
      const input: CreateRoomInput = { type: 'GROUP', name: '토요 모임', participantIds: ['5'] };

      expect((await kim.http(createRoom, { input })).createRoom.room.title).toBe('토요 모임');
    });

    it('has the newest message that is not deleted as its last message', async () => {
      const kim = await world.client(4);
      const id = await kim.group(5);
      expect((await read(kim, id)).lastMessage?.seq).toBe(1);
      const [first, second] = [await kim.send(id, '하나'), await kim.send(id, '둘')];
      expect((await read(kim, id)).lastMessage).toMatchObject({ seq: 3, content: '둘' });

      await kim.http(deleteMessage, { input: { messageId: second.message.id } });
      expect((await read(kim, id)).lastMessage).toMatchObject({ seq: 2, content: '하나' });

      await kim.http(deleteMessage, { input: { messageId: first.message.id } });
      expect((await read(kim, id)).lastMessage?.seq).toBe(1);
    });

    it('counts and lists its members, and with includeLeft those who have left', async () => {
      const [kim, park] = [await world.client(4), await world.client(6)];
      const id = await kim.group(5, 6);
      await kim.http(inviteMembers, { input: { roomId: id, userIds: ['7', '5'] } });
      await park.http(leaveRoom, { input: { roomId: id } });

      const { memberCount, members } = await read(kim, id);
      const { rooms } = await kim.http(roomList, { first: 1 });

      expect(memberCount).toBe(3);
      expect(members.map(({ user, leftAt }) => [user.id, leftAt !== null])).toEqual([
        ['4', false],
        ['5', false],
        ['6', true],
        ['7', false],
      ]);
      expect(rooms.edges[0]?.node.members.map(({ user }) => user.id)).toEqual(['4', '5', '7']);
    });
  });
});
