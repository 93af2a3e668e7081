import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { createBookingRoom } from '../support/booking-room.js';
import { ApiError, type TestClient } from '../support/client.js';
import {
  bookingRoom,
  createRoom,
  deleteMessage,
  editMessage,
  history,
  inviteMembers,
  leaveRoom,
  markRead,
  messageAdded,
  oneMessage,
  oneRoom,
  removeMember,
  renameRoom,
  roomList,
  sendMessage,
  setAdmin,
  unread,
  whoAmI,
} from '../support/operations.js';
import { describeWithNats } from '../support/requirements.js';
import { forgeToken, nowSeconds } from '../support/tokens.js';
import { useWorld } from '../support/world.js';

const [admin, member, left, author, target, stranger] = [4, 5, 6, 7, 8, 9] as const;

/** A room, and a message of the author in it. */
interface Scene {
  readonly roomId: string;
  readonly messageId: string;
}

const mutations = {
  sendMessage: (client: TestClient, { roomId }: Scene) => client.send(roomId, '안녕'),
  editMessage: (client: TestClient, { messageId }: Scene) =>
    client.http(editMessage, { input: { messageId, content: '고침' } }),
  deleteMessage: (client: TestClient, { messageId }: Scene) => client.http(deleteMessage, { input: { messageId } }),
  inviteMembers: (client: TestClient, { roomId }: Scene) =>
    client.http(inviteMembers, { input: { roomId, userIds: ['77'] } }),
  removeMember: (client: TestClient, { roomId }: Scene) =>
    client.http(removeMember, { input: { roomId, userId: String(target) } }),
  renameRoom: (client: TestClient, { roomId }: Scene) =>
    client.http(renameRoom, { input: { roomId, name: '새 이름' } }),
  setAdmin: (client: TestClient, { roomId }: Scene) =>
    client.http(setAdmin, { input: { roomId, userId: String(target), isAdmin: true } }),
  leaveRoom: (client: TestClient, { roomId }: Scene) => client.http(leaveRoom, { input: { roomId } }),
  markRead: (client: TestClient, { roomId, messageId }: Scene) =>
    client.http(markRead, { input: { roomId, messageId } }),
};

const outcomeOf = (attempt: Promise<unknown>): Promise<string> =>
  attempt.then(
    () => 'OK',
    (error: unknown) => (error instanceof ApiError ? error.code : String(error)),
  );

/** One row of a table: the mutation, and its outcome for each of the roles. */
type Row = [keyof typeof mutations, ...string[]];

describeWithNats('the rules of rooms', () => {
  const world = useWorld();
  const clients = new Map<number, TestClient>();
  beforeAll(async () => {
    for (const id of [admin, member, left, author, target, stranger]) clients.set(id, await world.client(id, id % 2));
  });
  const as = (userId: number) => clients.get(userId) as TestClient;

  const makeGroup = async (): Promise<Scene> => {
    const roomId = await as(admin).group(member, left, author, target);
    await as(left).http(leaveRoom, { input: { roomId } });
    const { message } = await as(author).send(roomId, '처음');
    return { roomId, messageId: message.id };
  };
  const makeDirect = async (): Promise<Scene> => {
    const roomId = await as(author).direct(member);
    const { message } = await as(author).send(roomId, '처음');
    return { roomId, messageId: message.id };
  };
  const makeBooking = async (): Promise<Scene> => {
    const { roomId } = await createBookingRoom(world.database.url, [author, member, left, target]);
    await as(left).http(leaveRoom, { input: { roomId } });
    const { message } = await as(author).send(roomId, '처음');
    return { roomId, messageId: message.id };
  };

  describe('in a GROUP', () => {
    const roles = { stranger, left, member, author, admin };
    it.each<Row>([
      ['sendMessage', 'NOT_FOUND', 'NOT_FOUND', 'OK', 'OK', 'OK'],
      ['editMessage', 'NOT_FOUND', 'NOT_FOUND', 'FORBIDDEN', 'OK', 'FORBIDDEN'],
      ['deleteMessage', 'NOT_FOUND', 'NOT_FOUND', 'FORBIDDEN', 'OK', 'OK'],
      ['inviteMembers', 'NOT_FOUND', 'NOT_FOUND', 'OK', 'OK', 'OK'],
      ['removeMember', 'NOT_FOUND', 'NOT_FOUND', 'FORBIDDEN', 'FORBIDDEN', 'OK'],
      ['renameRoom', 'NOT_FOUND', 'NOT_FOUND', 'FORBIDDEN', 'FORBIDDEN', 'OK'],
      ['setAdmin', 'NOT_FOUND', 'NOT_FOUND', 'FORBIDDEN', 'FORBIDDEN', 'OK'],
      ['leaveRoom', 'NOT_FOUND', 'NOT_FOUND', 'OK', 'OK', 'OK'],
      ['markRead', 'NOT_FOUND', 'NOT_FOUND', 'OK', 'OK', 'OK'],
    ])('%s is for a stranger %s, one who left %s, a member %s, the author %s, an admin %s', async (name, ...codes) => {
      expect(await attempt(name, makeGroup, Object.values(roles))).toEqual(codes);
    });
  });

  describe('in a DIRECT room', () => {
    it.each<Row>([
      ['sendMessage', 'NOT_FOUND', 'OK', 'OK'],
      ['editMessage', 'NOT_FOUND', 'FORBIDDEN', 'OK'],
      ['deleteMessage', 'NOT_FOUND', 'FORBIDDEN', 'OK'],
      ['inviteMembers', 'NOT_FOUND', 'FORBIDDEN', 'FORBIDDEN'],
      ['removeMember', 'NOT_FOUND', 'FORBIDDEN', 'FORBIDDEN'],
      ['renameRoom', 'NOT_FOUND', 'FORBIDDEN', 'FORBIDDEN'],
      ['setAdmin', 'NOT_FOUND', 'FORBIDDEN', 'FORBIDDEN'],
      ['leaveRoom', 'NOT_FOUND', 'FORBIDDEN', 'FORBIDDEN'],
      ['markRead', 'NOT_FOUND', 'OK', 'OK'],
    ])('%s is for a stranger %s, a member %s, the author %s', async (name, ...codes) => {
      expect(await attempt(name, makeDirect, [stranger, member, author])).toEqual(codes);
    });
  });

  describe('in a BOOKING room', () => {
    it.each<Row>([
      ['sendMessage', 'NOT_FOUND', 'NOT_FOUND', 'OK', 'OK'],
      ['editMessage', 'NOT_FOUND', 'NOT_FOUND', 'FORBIDDEN', 'OK'],
      ['deleteMessage', 'NOT_FOUND', 'NOT_FOUND', 'FORBIDDEN', 'OK'],
      ['inviteMembers', 'NOT_FOUND', 'NOT_FOUND', 'FORBIDDEN', 'FORBIDDEN'],
      ['removeMember', 'NOT_FOUND', 'NOT_FOUND', 'FORBIDDEN', 'FORBIDDEN'],
      ['renameRoom', 'NOT_FOUND', 'NOT_FOUND', 'FORBIDDEN', 'FORBIDDEN'],
      ['setAdmin', 'NOT_FOUND', 'NOT_FOUND', 'FORBIDDEN', 'FORBIDDEN'],
      ['leaveRoom', 'NOT_FOUND', 'NOT_FOUND', 'OK', 'OK'],
      ['markRead', 'NOT_FOUND', 'NOT_FOUND', 'OK', 'OK'],
    ])('%s is for a stranger %s, one who left %s, a member %s, the author %s', async (name, ...codes) => {
      expect(await attempt(name, makeBooking, [stranger, left, member, author])).toEqual(codes);
    });

    it('is created by the booking system only', async () => {
      const creating = as(member).http(createRoom, { input: { type: 'BOOKING', participantIds: ['8'] } });

      expect(await outcomeOf(creating)).toBe('FORBIDDEN');
    });

    it('is found by its booking, by members only', async () => {
      const { roomId, bookingId } = await createBookingRoom(world.database.url, [member, left]);
      await as(left).http(leaveRoom, { input: { roomId } });

      const find = async (userId: number, id = bookingId) =>
        (await as(userId).http(bookingRoom, { bookingId: id })).bookingRoom;

      expect(await find(member)).toMatchObject({ id: roomId, type: 'BOOKING', bookingId });
      expect([await find(left), await find(stranger), await find(member, 1)]).toEqual([null, null, null]);
    });
  });

  /** The outcomes of the mutation for the users, in a fresh room each. */
  async function attempt(name: keyof typeof mutations, makeScene: () => Promise<Scene>, users: readonly number[]) {
    const outcomes: string[] = [];
    for (const user of users) outcomes.push(await outcomeOf(mutations[name](as(user), await makeScene())));
    return outcomes;
  }

  describe('admins', () => {
    const adminsOf = async (roomId: string, seenBy: number) => {
      const { room } = await as(seenBy).http(oneRoom, { id: roomId });
      return room?.members.filter(({ isAdmin }) => isAdmin).map(({ user }) => Number(user.id));
    };
    const noticesOf = async (roomId: string, seenBy: number) => {
      const { room } = await as(seenBy).http(history, { id: roomId, first: 100 });
      const ids = room?.messages.edges.map(({ node }) => node.id) ?? [];
      const messages = await Promise.all(ids.map((id) => as(seenBy).http(oneMessage, { id })));
      return messages.map(({ message }) => [
        message?.system?.code,
        message?.sender.id,
        message?.system?.users.map(({ id }) => id),
      ]);
    };

    it('include only the creator at first', async () => {
      const roomId = await as(member).group(admin, author);

      expect(await adminsOf(roomId, member)).toEqual([member]);
    });

    it('grant admin rights to others, and revoke the rights of other admins', async () => {
      const roomId = await as(admin).group(member);

      await as(admin).http(setAdmin, { input: { roomId, userId: '5', isAdmin: true } });
      await as(member).http(setAdmin, { input: { roomId, userId: '4', isAdmin: false } });

      expect(await adminsOf(roomId, member)).toEqual([member]);
      expect((await noticesOf(roomId, member)).slice(1)).toEqual([
        ['ADMIN_GRANTED', '4', ['5']],
        ['ADMIN_REVOKED', '5', ['4']],
      ]);
    });

    it('always exist: the last one cannot resign, and when they leave, the longest member becomes one', async () => {
      const roomId = await as(admin).group(member, author);
      await as(member).http(leaveRoom, { input: { roomId } });
      await as(author).http(inviteMembers, { input: { roomId, userIds: ['5'] } });

      const resigning = as(admin).http(setAdmin, { input: { roomId, userId: '4', isAdmin: false } });
      expect(await outcomeOf(resigning)).toBe('FORBIDDEN');
      await as(admin).http(leaveRoom, { input: { roomId } });

      expect(await adminsOf(roomId, author)).toEqual([author]);
      expect((await noticesOf(roomId, author)).slice(1)).toEqual([
        ['MEMBER_LEFT', '5', ['5']],
        ['MEMBERS_JOINED', '7', ['5']],
        ['MEMBER_LEFT', '4', ['4']],
        ['ADMIN_GRANTED', '4', ['7']],
      ]);
    });

    it('get no new admin when one of two leaves', async () => {
      const roomId = await as(admin).group(member, author);
      await as(admin).http(setAdmin, { input: { roomId, userId: '7', isAdmin: true } });

      await as(admin).http(leaveRoom, { input: { roomId } });

      expect(await adminsOf(roomId, author)).toEqual([author]);
      expect((await noticesOf(roomId, author)).at(-1)).toEqual(['MEMBER_LEFT', '4', ['4']]);
    });

    it('come back as plain members', async () => {
      const roomId = await as(admin).group(member);
      await as(admin).http(leaveRoom, { input: { roomId } });

      await as(member).http(inviteMembers, { input: { roomId, userIds: ['4'] } });

      expect(await adminsOf(roomId, member)).toEqual([member]);
    });

    it.each([
      ['remove themselves', () => ({ userId: '4' })],
      ['remove a user who is not a member', () => ({ userId: '9' })],
      ['remove a user who has left', () => ({ userId: '6' })],
    ])('cannot %s', async (_what, input) => {
      const { roomId } = await makeGroup();

      const removing = as(admin).http(removeMember, { input: { roomId, ...input() } });

      expect(await outcomeOf(removing)).toBe('BAD_USER_INPUT');
    });

    it('may leave a room empty', async () => {
      const roomId = await as(admin).group();

      expect(await outcomeOf(as(admin).http(leaveRoom, { input: { roomId } }))).toBe('OK');
    });
  });

  describe('messages', () => {
    const contentOf = async (id: string) => (await as(admin).http(oneMessage, { id })).message?.content;

    it('of type SYSTEM are neither sent, edited nor deleted by anybody', async () => {
      const roomId = await as(admin).group(member);
      const { room } = await as(admin).http(history, { id: roomId, first: 1 });
      const messageId = room?.messages.edges[0]?.node.id ?? '';
      const before = await contentOf(messageId);

      const attempts = [admin, member].flatMap((user) => [
        as(user).http(sendMessage, { input: { roomId, type: 'SYSTEM', content: '공지' } }),
        as(user).http(editMessage, { input: { messageId, content: '고침' } }),
        as(user).http(deleteMessage, { input: { messageId } }),
      ]);

      const [bad, forbidden] = ['BAD_USER_INPUT', 'FORBIDDEN'];
      expect(await Promise.all(attempts.map(outcomeOf))).toEqual([bad, bad, bad, bad, forbidden, bad]);
      expect(await contentOf(messageId)).toBe(before);
    });

    it('are editable only if they are TEXT and not deleted', async () => {
      const roomId = await as(admin).group(member);
      const { sendMessage: image } = await as(admin).http(sendMessage, {
        input: { roomId, type: 'IMAGE', content: 'https://example.com/a.jpg' },
      });
      const { message: text } = await as(admin).send(roomId, '지울 것');
      await as(admin).http(deleteMessage, { input: { messageId: text.id } });

      const edit = (messageId: string) =>
        outcomeOf(as(admin).http(editMessage, { input: { messageId, content: 'x' } }));

      expect([await edit(image.message.id), await edit(text.id)]).toEqual(['BAD_USER_INPUT', 'CONFLICT']);
    });

    it('are deleted twice without an error and without another entry', async () => {
      const { roomId, messageId } = await makeGroup();

      const first = await as(author).http(deleteMessage, { input: { messageId } });
      const second = await as(admin).http(deleteMessage, { input: { messageId } });

      expect(second).toEqual(first);
      expect(second.deleteMessage.message.content).toBeNull();
      expect((await as(admin).http(oneRoom, { id: roomId })).room?.seq).toBe(4);
    });

    it('are out of reach of an author who has left', async () => {
      const { roomId, messageId } = await makeGroup();
      await as(author).http(leaveRoom, { input: { roomId } });

      const attempts = [
        mutations.editMessage(as(author), { roomId, messageId }),
        mutations.deleteMessage(as(author), { roomId, messageId }),
      ];

      expect(await Promise.all(attempts.map(outcomeOf))).toEqual(['NOT_FOUND', 'NOT_FOUND']);
      expect(await contentOf(messageId)).toBe('처음');
    });
  });

  describe('a room that the viewer is not in', () => {
    it('looks like one that does not exist', async () => {
      const foreign = await makeGroup();
      const unknown = { roomId: randomUUID(), messageId: randomUUID() };
      const lookAt = async (scene: Scene) => {
        const answers: unknown[] = [
          await as(stranger).http(oneRoom, { id: scene.roomId }),
          await as(stranger).http(oneMessage, { id: scene.messageId }),
          (await as(stranger).roomEvents({ roomId: scene.roomId, afterSeq: 0 }).ended())?.message,
        ];
        for (const mutate of Object.values(mutations)) {
          answers.push(await mutate(as(stranger), scene).catch((error: ApiError) => error.message));
        }
        return answers;
      };

      const [ofForeign, ofUnknown] = [await lookAt(foreign), await lookAt(unknown)];

      expect(ofForeign).toEqual(ofUnknown);
      expect(ofForeign.slice(0, 2)).toEqual([{ room: null }, { message: null }]);
      expect(ofForeign.slice(2)).toEqual(Array(10).fill(expect.stringMatching(/^NOT_FOUND: /)));
    });

    it.each(['leaves', 'is removed'])('is gone for a member who %s, and complete on their return', async (way) => {
      const { roomId, messageId } = await makeGroup();
      const goer = as(member);
      if (way === 'leaves') await goer.http(leaveRoom, { input: { roomId } });
      else await as(admin).http(removeMember, { input: { roomId, userId: '5' } });
      const { message: missed } = await as(author).send(roomId, '그동안');

      expect(await goer.http(oneRoom, { id: roomId })).toEqual({ room: null });
      expect(await goer.http(history, { id: roomId, first: 10 })).toEqual({ room: null });
      expect(await goer.http(oneMessage, { id: messageId })).toEqual({ message: null });
      const { rooms } = await goer.http(roomList, { first: 100 });
      expect(rooms.edges.map(({ node }) => node.id)).not.toContain(roomId);
      expect(await goer.roomEvents({ roomId, afterSeq: 0 }).ended()).toMatchObject({ code: 'NOT_FOUND' });
      const added = goer.subscribe(messageAdded, { roomId, afterSeq: 0 });
      expect(await added.ended()).toMatchObject({ code: 'NOT_FOUND' });

      await as(author).http(inviteMembers, { input: { roomId, userIds: ['5'] } });

      const { room } = await goer.http(history, { id: roomId, first: 10 });
      expect(room?.messages.edges.map(({ node }) => node.seq)).toEqual([1, 2, 3, 4, 5, 6]);
      expect((await goer.http(oneMessage, { id: missed.id })).message?.content).toBe('그동안');
      const replay = await goer.roomEvents({ roomId, afterSeq: 0 }).count(7);
      expect(replay.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5, 6, 6]);
    });

    it('does not count as unread', async () => {
      const reader = await world.client(60);
      const roomId = await as(admin).group(60);
      await as(admin).send(roomId, '하나');
      expect(await reader.http(unread, {})).toEqual({ unreadCount: 1 });

      await reader.http(leaveRoom, { input: { roomId } });

      expect(await reader.http(unread, {})).toEqual({ unreadCount: 0 });
    });
  });

  describe('a read mark', () => {
    it('never moves back', async () => {
      const roomId = await as(admin).group(member);
      const [first, second] = [await as(admin).send(roomId, '하나'), await as(admin).send(roomId, '둘')];
      const mark = async (messageId: string) =>
        (await as(member).http(markRead, { input: { roomId, messageId } })).markRead.room;

      const marks = [await mark(second.message.id), await mark(first.message.id), await mark(second.message.id)];

      const expected = { lastReadSeq: 3, lastReadMessageId: second.message.id };
      expect(marks.map(({ viewerMember }) => viewerMember)).toEqual([expected, expected, expected]);
      expect(marks.map(({ unreadCount }) => unreadCount)).toEqual([0, 0, 0]);
    });

    it.each([
      ['another room of the viewer', () => makeGroup()],
      ['no room', async () => ({ messageId: randomUUID() })],
    ])('is BAD_USER_INPUT up to a message of %s', async (_what, makeOther) => {
      const { roomId } = await makeGroup();
      const { messageId } = await makeOther();

      expect(await outcomeOf(as(member).http(markRead, { input: { roomId, messageId } }))).toBe('BAD_USER_INPUT');
    });
  });

  describe('a name', () => {
    const namesSeen = async (roomId: string) => {
      const { room } = await as(admin).http(oneRoom, { id: roomId });
      return [room?.title, room?.members.at(-1)?.user.name];
    };
    /** Connects the user to an instance with a token that was issued so many seconds ago. */
    const enter = async (userId: number, name: string | undefined, agoSeconds: number, instance = 0) => {
      const token = await forgeToken({ sub: String(userId), name, iat: nowSeconds() - agoSeconds });
      const client = await world.client(userId, instance, token);
      return (await client.http(whoAmI, {})).viewer.name;
    };

    it('is "#205" until a token gives one', async () => {
      const roomId = await as(admin).group(205);
      expect(await namesSeen(roomId)).toEqual(['#205', '#205']);

      expect(await enter(205, undefined, 60)).toBe('#205');
      expect(await enter(205, '한지민', 30)).toBe('한지민');

      expect(await namesSeen(roomId)).toEqual(['한지민', '한지민']);
    });

    it.each([0, 1])('is not overridden by an older token at instance %i', async (instance) => {
      const userId = 210 + instance;
      await enter(userId, '새 이름', 100, 0);

      expect(await enter(userId, '옛 이름', 200, instance)).toBe('새 이름');
      expect(await enter(userId, '더 새 이름', 50, instance)).toBe('더 새 이름');
    });

    it('that a newer token confirms is not overridden by a token from in between', async () => {
      await enter(220, '하나', 300);
      await enter(220, '하나', 100);

      expect(await enter(220, '둘', 200, 0)).toBe('하나');
      expect(await enter(220, '둘', 200, 1)).toBe('하나');
    });

    it('returns to the old one by a newer token, even if another instance saw a change in between', async () => {
      await enter(230, '하나', 300, 0);
      await enter(230, '둘', 200, 1);

      expect(await enter(230, '하나', 100, 0)).toBe('하나');
    });

    it('stays if a newer token has none, and comes from an older token if there was none', async () => {
      await enter(240, undefined, 100);

      expect(await enter(240, '하나', 200)).toBe('하나');
      expect(await enter(240, undefined, 50)).toBe('하나');
    });
  });
});
