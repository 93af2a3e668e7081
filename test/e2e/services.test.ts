import { randomInt, randomUUID } from 'node:crypto';
import { SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { signToken } from '../../src/auth/sign-token.js';
import { Backend, type BackendAnswer } from '../support/backend.js';
import { TestClient } from '../support/client.js';
import { testSecret } from '../support/instance.js';
import { startDeployedNats } from '../support/nats.js';
import { deleteMessage, oneRoom, renameRoom, whoAmI } from '../support/operations.js';
import { describeWithNats } from '../support/requirements.js';
import { waitFor } from '../support/wait-for.js';
import { useWorld } from '../support/world.js';

const [kim, lee, park, stranger] = [4, 5, 6, 99];
const names = ['김철수', '이영희', '박영희'];

type Payload = Record<string, unknown>;
type Ask = (subject: string, payload: unknown) => Promise<BackendAnswer>;

/** A GROUP of Kim (its admin), Lee and Park with two messages of Lee's, and a booking of Kim and Lee. */
interface Scene {
  readonly roomId: string;
  readonly firstId: string;
  readonly lastId: string;
  readonly bookingId: number;
}

interface Row {
  readonly good: (scene: Scene) => Payload;
  readonly answers: (scene: Scene) => unknown;
  /** Values that a field must not have; if `undefined` is among them, the field is required. */
  readonly wrong: Readonly<Record<string, readonly unknown[]>>;
  /** The field with the user who must be a member of the room. */
  readonly member?: string;
  readonly room?: true;
}

const noUser = [undefined, null, 0, -4, 1.5, 2 ** 31, 'kim', '4 ', true, [4], { id: 4 }];
const optionalUser = noUser.slice(2);
const noUuid = [undefined, null, 7, '', 'room', 'chat.room.*', '00000000-0000-0000-0000-00000000000', ['x']];
const noText = [undefined, null, 7, true, ['x'], { text: 'x' }, '', ' \n', '\0', '\ud800'];
const noLimit = [0, -1, 1.5, '10', 101, 1e9];
const noMembers = [undefined, null, 'kim', {}, [7], [{}], [{ userId: 'x' }]];
/** Values that are not names, and that the server ignores as hints. */
const noNames = [null, '', ' \n', '\0', '\u3164', '\ud800', 'x'.repeat(101), 7, ['x'], { name: 'x' }];

const table: Record<string, Row> = {
  'chat.rooms.list': {
    good: () => ({ userId: kim }),
    answers: ({ roomId }) => expect.arrayContaining([expect.objectContaining({ id: roomId, unreadCount: 2 })]),
    wrong: { userId: noUser, limit: noLimit, cursor: [7, '', 'nonsense'], type: ['OTHER', 7] },
  },
  'chat.rooms.get': {
    good: ({ roomId }) => ({ roomId, userId: kim }),
    answers: ({ roomId, lastId }) => ({
      id: roomId,
      type: 'GROUP',
      name: null,
      title: '이영희, 박영희',
      bookingId: null,
      seq: 3,
      memberCount: 3,
      members: [kim, lee, park].map((userId, at) =>
        expect.objectContaining({ userId, userName: names[at], isAdmin: userId === kim }),
      ),
      lastMessage: expect.objectContaining({ id: lastId, content: '둘', senderId: lee, senderName: '이영희' }),
      unreadCount: 2,
      cancelledAt: null,
      createdAt: expect.any(String),
      updatedAt: expect.any(String),
    }),
    wrong: { roomId: noUuid, userId: optionalUser },
    member: 'userId',
    room: true,
  },
  'chat.rooms.members': {
    good: ({ roomId }) => ({ roomId, userId: kim, limit: 2 }),
    answers: () => ({
      memberCount: 3,
      members: [kim, lee].map((userId, at) => expect.objectContaining({ userId, userName: names[at] })),
      nextCursor: expect.any(String),
    }),
    wrong: { roomId: noUuid, userId: optionalUser, limit: noLimit, cursor: [7, '', 'nonsense'] },
    member: 'userId',
    room: true,
  },
  'chat.rooms.create': {
    good: () => ({ type: 'GROUP', name: '골프', memberIds: [kim, lee], memberNames: names.slice(0, 2) }),
    answers: () => expect.objectContaining({ type: 'GROUP', name: '골프', seq: 1, created: true }),
    wrong: {
      type: [undefined, null, 'OTHER', 7],
      memberIds: [undefined, null, [], 'kim', {}, [0], ['kim'], [kim, null]],
      memberNames: ['kim', ['only one'], {}],
      name: [7, '', ' ', '\0', 'x'.repeat(101)],
      creatorId: optionalUser,
    },
  },
  'chat.rooms.addMember': {
    good: ({ roomId }) => ({ roomId, userId: kim, memberIds: [7], memberNames: ['최민수'] }),
    answers: ({ roomId }) =>
      expect.objectContaining({
        id: roomId,
        members: expect.arrayContaining([expect.objectContaining({ userId: 7, userName: '최민수' })]),
      }),
    wrong: {
      roomId: noUuid,
      userId: noUser,
      memberIds: [undefined, null, [], 7, [0], ['x']],
      memberNames: [7, ['a', 'b']],
    },
    member: 'userId',
    room: true,
  },
  'chat.rooms.removeMember': {
    good: ({ roomId }) => ({ roomId, userId: park }),
    answers: ({ roomId }) => ({ roomId, userId: park }),
    wrong: { roomId: noUuid, userId: noUser, memberId: optionalUser },
    member: 'userId',
    room: true,
  },
  'chat.rooms.keepFiles': {
    good: ({ roomId }) => ({ roomId, attachmentRetentionDays: 90 }),
    answers: ({ roomId }) => expect.objectContaining({ id: roomId, memberCount: 3, attachmentRetentionDays: 90 }),
    wrong: { roomId: noUuid, attachmentRetentionDays: [undefined, -1, 1.5, '7', 36_501, 'ever', [7]] },
    room: true,
  },
  'chat.rooms.syncMembers': {
    good: ({ bookingId }) => ({ bookingId, version: 2, members: [{ userId: kim, userName: names[0] }, { userId: 8 }] }),
    answers: ({ bookingId }) =>
      expect.objectContaining({
        bookingId,
        applied: true,
        members: [expect.objectContaining({ userId: kim }), expect.objectContaining({ userId: 8, userName: '#8' })],
      }),
    wrong: {
      bookingId: noUser,
      members: noMembers,
      version: [undefined, null, -1, 1.5, '2', 2 ** 53],
      name: [7, '', 'x'.repeat(101)],
    },
  },
  'chat.rooms.cancel': {
    good: ({ bookingId }) => ({ bookingId }),
    answers: ({ bookingId }) => expect.objectContaining({ bookingId, cancelledAt: expect.any(String) }),
    wrong: { bookingId: noUser },
  },
  'chat.messages.list': {
    good: ({ roomId, lastId }) => ({ roomId, userId: kim, limit: 1, cursor: lastId }),
    answers: ({ firstId }) => ({
      messages: [expect.objectContaining({ id: firstId, content: '하나', type: 'TEXT', seq: 2 })],
      hasMore: true,
      nextCursor: firstId,
    }),
    wrong: {
      roomId: noUuid,
      userId: optionalUser,
      limit: noLimit,
      cursor: [...noUuid.slice(2), randomUUID()],
      skip: [-1, 1.5, '1', 2 ** 31],
    },
    member: 'userId',
    room: true,
  },
  'chat.messages.save': {
    good: ({ roomId }) => ({ id: randomUUID(), roomId, senderId: lee, content: '셋', type: 'TEXT' }),
    answers: ({ roomId }) =>
      expect.objectContaining({ roomId, senderId: lee, senderName: '이영희', content: '셋', seq: 4, duplicate: false }),
    wrong: {
      id: noUuid,
      roomId: noUuid,
      senderId: noUser,
      content: noText,
      type: ['text', 7],
      messageType: ['text', 7],
    },
    member: 'senderId',
    room: true,
  },
  'chat.messages.markRead': {
    good: ({ roomId, firstId }) => ({ roomId, userId: kim, messageId: firstId }),
    answers: ({ roomId, firstId }) => ({
      roomId,
      userId: kim,
      lastReadMessageId: firstId,
      lastReadSeq: 2,
      lastReadAt: expect.any(String),
      unreadCount: 1,
    }),
    wrong: { roomId: noUuid, userId: noUser, messageId: [...noUuid, randomUUID()] },
    member: 'userId',
    room: true,
  },
  'chat.messages.unreadCount': {
    good: ({ roomId }) => ({ userId: park, roomId }),
    answers: () => ({ unreadCount: 2 }),
    wrong: { userId: noUser, roomId: noUuid.slice(2) },
    member: 'userId',
    room: true,
  },
  'chat.users.upsert': {
    good: () => ({ userId: 50, name: '정하나' }),
    answers: () => ({ userId: 50, name: '정하나' }),
    wrong: { userId: noUser, name: [...noText, 'x'.repeat(101)] },
  },
};

describeWithNats('the services for other backends', () => {
  const world = useWorld({ instances: 1, nats: startDeployedNats });
  let backend: Backend;
  let booking: Backend;
  beforeAll(async () => {
    backend = await Backend.connect(world.nats);
    booking = await Backend.connect(world.nats, world.nats.logins.booking);
  });
  afterAll(async () => {
    await Promise.all([backend?.close(), booking?.close()]);
  });

  const forms: Record<'plain JSON' | 'NestJS', Ask> = {
    'plain JSON': (subject, payload) => asker(subject).ask(subject, payload),
    NestJS: (subject, payload) => asker(subject).askAsNest(subject, payload),
  };
  const asker = (subject: string) => (/syncMembers|cancel/.test(subject) ? booking : backend);
  const ask = forms['plain JSON'];
  const give = async (subject: string, payload: Payload) => {
    const answer = await ask(subject, payload);
    expect(answer).toMatchObject({ success: true });
    return answer.data;
  };
  const say = (roomId: string, senderId: number, content: string, type = 'TEXT') =>
    give('chat.messages.save', { id: randomUUID(), roomId, senderId, content, type });

  async function setScene(): Promise<Scene> {
    const bookingId = randomInt(1, 2 ** 31);
    const room = await give('chat.rooms.create', { type: 'GROUP', memberIds: [kim, lee, park], memberNames: names });
    await give('chat.rooms.create', { type: 'BOOKING', bookingId, memberIds: [kim, lee], version: 1 });
    const { id: firstId } = await say(room.id, lee, '하나');
    const { id: lastId } = await say(room.id, lee, '둘');
    return { roomId: room.id, firstId, lastId, bookingId };
  }

  describe.each(Object.entries(forms))('in the form of %s', (_form, ask) => {
    describe.each(Object.entries(table))('%s', (subject, { good, answers, wrong, member, room }) => {
      it('answers a good request', async () => {
        const scene = await setScene();

        expect(await ask(subject, good(scene))).toMatchObject({ success: true, data: answers(scene) });
      });

      it('names each field that is missing or wrong', async () => {
        const scene = await setScene();
        for (const [field, values] of Object.entries(wrong)) {
          for (const value of values) {
            const answer = await ask(subject, { ...good(scene), [field]: value });
            expect(answer, `${field}: ${JSON.stringify(value)}`).toEqual({
              success: false,
              code: 'BAD_USER_INPUT',
              error: expect.stringContaining(field === 'members' ? 'member' : field),
            });
          }
        }
      });

      if (room)
        it('does not find a room that does not exist', async () => {
          const scene = await setScene();

          const answer = await ask(subject, { ...good(scene), roomId: randomUUID() });

          expect(answer).toEqual({ success: false, code: 'NOT_FOUND', error: expect.any(String) });
        });

      if (member)
        it('does not find the room for a stranger', async () => {
          const scene = await setScene();

          const answer = await ask(subject, { ...good(scene), [member as string]: stranger });

          expect(answer).toEqual({ success: false, code: 'NOT_FOUND', error: expect.any(String) });
        });
    });
  });

  it('creates the DIRECT room of two users once, whoever asks', async () => {
    const [a, b] = [
      await give('chat.rooms.create', directOf(kim, lee)),
      await give('chat.rooms.create', directOf(lee, kim)),
    ];

    expect(b).toMatchObject({ id: a.id, created: false });
    expect(await ask('chat.rooms.create', { ...directOf(kim, lee), memberIds: [kim, lee, park] })).toMatchObject({
      code: 'BAD_USER_INPUT',
    });
  });

  it('creates the room of a booking once', async () => {
    const input = { type: 'BOOKING', bookingId: randomInt(1, 2 ** 31), name: '토요일 7시', memberIds: [kim, lee] };
    const made = await Promise.all(Array.from({ length: 5 }, () => give('chat.rooms.create', input)));

    expect(new Set(made.map(({ id }) => id)).size).toBe(1);
    expect(made.filter(({ created }) => created)).toHaveLength(1);
    expect(made[0]).toMatchObject({ name: '토요일 7시', seq: 1, bookingId: input.bookingId });
    expect(await ask('chat.rooms.create', { ...input, bookingId: undefined })).toMatchObject({
      code: 'BAD_USER_INPUT',
      error: expect.stringContaining('bookingId'),
    });
  });

  it('lets only an admin remove a member', async () => {
    const { roomId } = await setScene();
    const remove = (userId: number) => ask('chat.rooms.removeMember', { roomId, userId, memberId: park });

    expect(await remove(lee)).toMatchObject({ success: false, code: 'FORBIDDEN' });
    expect(await remove(kim)).toEqual({ success: true, data: { roomId, userId: park } });
    expect(await ask('chat.rooms.get', { roomId, userId: park })).toMatchObject({ code: 'NOT_FOUND' });
  });

  it('saves a message once despite retries, and refuses another message with its id', async () => {
    const { roomId } = await setScene();
    const input = {
      id: randomUUID(),
      roomId,
      senderId: lee,
      senderName: '이영희',
      content: '한 번',
      messageType: 'TEXT',
    };

    const first = await give('chat.messages.save', input);
    const again = await give('chat.messages.save', { ...input, id: input.id.toUpperCase() });

    expect(first.duplicate).toBe(false);
    expect(again).toEqual({ ...first, duplicate: true });
    for (const other of [{ content: '다른' }, { senderId: kim }, { messageType: 'SYSTEM' }]) {
      expect(await ask('chat.messages.save', { ...input, ...other })).toMatchObject({ code: 'CONFLICT' });
    }
  });

  it('posts an announcement once, in the name of somebody who need not be a member', async () => {
    const { roomId } = await setScene();
    const watcher = await world.client(lee);
    const feed = watcher.roomEvents({ roomId });
    await feed.count(1);
    const input = {
      id: randomUUID(),
      roomId,
      senderId: 77,
      senderName: '운영팀',
      content: '점검이 있습니다',
      type: 'SYSTEM',
    };

    const first = await give('chat.messages.save', input);
    const again = await give('chat.messages.save', input);

    expect(first).toMatchObject({
      type: 'SYSTEM',
      senderName: '운영팀',
      system: { code: 'ANNOUNCEMENT', userIds: [] },
    });
    expect([first.duplicate, again.duplicate]).toEqual([false, true]);
    expect(await ask('chat.messages.save', { ...input, content: '다른' })).toMatchObject({ code: 'CONFLICT' });
    const [, event] = await feed.count(2);
    expect(event).toMatchObject({ message: { content: '점검이 있습니다', system: { code: 'ANNOUNCEMENT' } } });
  });

  it('pages through a history by cursor and by skip, without deleted messages', async () => {
    const { roomId } = await setScene();
    for (const number of [3, 4, 5, 6]) await say(roomId, lee, String(number));
    const author = await world.client(lee);
    const { id: messageId } = await say(roomId, lee, '지움');
    await author.http(deleteMessage, { input: { messageId } });
    const contents = (page: { messages: { content: string }[] }) => page.messages.map(({ content }) => content);

    const first = await give('chat.messages.list', { roomId, limit: 3 });
    const second = await give('chat.messages.list', { roomId, limit: 3, cursor: first.nextCursor });
    const skipped = await give('chat.messages.list', { roomId, limit: 3, skip: 3 });
    const last = await give('chat.messages.list', { roomId, limit: 3, skip: 6 });
    const keys =
      'attachments changedSeq content createdAt deletedAt editedAt id roomId senderId senderName seq system type';
    expect(Object.keys(first.messages[0]).sort().join(' ')).toBe(keys);

    expect(contents(first)).toEqual(['6', '5', '4']);
    expect(contents(second)).toEqual(['3', '둘', '하나']);
    expect(skipped).toEqual(second);
    expect(last).toMatchObject({ hasMore: false, nextCursor: null, messages: [{ system: { code: 'ROOM_CREATED' } }] });
    const both = await ask('chat.messages.list', { roomId, skip: 1, cursor: first.nextCursor });
    expect(both).toMatchObject({ code: 'BAD_USER_INPUT', error: expect.stringContaining('skip') });
  });

  it('lists rooms in pages, newest activity first', async () => {
    const userId = randomInt(1_000, 2 ** 31);
    const ids: string[] = [];
    for (let at = 0; at < 3; at += 1) {
      ids.unshift((await give('chat.rooms.create', { type: 'GROUP', memberIds: [userId, kim] })).id);
    }

    const first = await ask('chat.rooms.list', { userId, limit: 2 });
    const second = await ask('chat.rooms.list', { userId, limit: 2, cursor: first.nextCursor });

    expect([first, second].map(({ data }) => data.map(({ id }: { id: string }) => id))).toEqual([
      ids.slice(0, 2),
      ids.slice(2),
    ]);
    expect(second.nextCursor).toBeNull();
  });

  it('omits the members of large rooms from lists, counts them, and returns them in pages', async () => {
    const userId = randomInt(1_000_000, 2 ** 31);
    const [large, small] = [longNamed(userId, 500), longNamed(userId, 100)];
    for (let at = 0; at < 8; at += 1) await give('chat.rooms.create', { type: 'GROUP', ...large });
    const { id: smallId } = await give('chat.rooms.create', { type: 'GROUP', ...small });

    const list = await give('chat.rooms.list', { userId });
    const { id: roomId, ...room } = await give('chat.rooms.get', { roomId: list.at(-1).id });
    const pages = [await give('chat.rooms.members', { roomId, userId })];
    while (pages.at(-1).nextCursor !== null) {
      pages.push(await give('chat.rooms.members', { roomId, limit: 90, cursor: pages.at(-1).nextCursor }));
    }

    expect(list).toHaveLength(9);
    expect(list[0]).toMatchObject({ id: smallId, memberCount: 100, members: { length: 100 } });
    expect(list.at(-1)).toMatchObject({ memberCount: 500, members: null, lastMessage: { type: 'SYSTEM' } });
    expect(room).toMatchObject({ memberCount: 500, members: null });
    expect(pages.map(({ members }) => members.length)).toEqual([100, 90, 90, 90, 90, 40]);
    const listed = pages.flatMap(({ members }) => members.map((member: { userId: number }) => member.userId));
    expect(listed.toSorted((a, b) => a - b)).toEqual(large.memberIds.toSorted((a, b) => a - b));
    expect(pages[0].members[0]).toEqual({
      id: expect.any(String),
      userId: expect.any(Number),
      userName: expect.stringMatching(/^긴{90}/),
      isAdmin: expect.any(Boolean),
      joinedAt: expect.any(String),
      lastReadMessageId: null,
      lastReadAt: null,
    });
  });

  it('refuses an answer that is larger than NATS carries, and says what to do', async () => {
    const userId = randomInt(1_000_000, 2 ** 31);
    for (let at = 0; at < 30; at += 1) await give('chat.rooms.create', { type: 'GROUP', ...longNamed(userId, 100) });

    const all = await ask('chat.rooms.list', { userId });

    expect(all).toMatchObject({ success: false, code: 'BAD_USER_INPUT', error: expect.stringMatching(/ask for less/) });
    expect(await ask('chat.rooms.list', { userId, limit: 1 })).toMatchObject({ success: true, data: { length: 1 } });
  });

  it('shows a room to the platform itself, which is not a member', async () => {
    const { roomId } = await setScene();

    const room = await give('chat.rooms.get', { roomId });

    expect(room).toMatchObject({ id: roomId, members: { length: 3 }, lastMessage: { content: '둘' } });
    expect(room).not.toHaveProperty('unreadCount');
  });

  it('counts unread messages in one room and in all rooms', async () => {
    const userId = randomInt(1_000, 2 ** 31);
    const rooms = [];
    for (let at = 0; at < 2; at += 1) {
      const { id } = await give('chat.rooms.create', { type: 'GROUP', memberIds: [kim, userId] });
      await say(id, kim, '안녕하세요');
      rooms.push(id);
    }
    await say(rooms[0], kim, '계세요?');

    expect(await give('chat.messages.unreadCount', { userId })).toEqual({ unreadCount: 3 });
    expect(await give('chat.messages.unreadCount', { userId, roomId: rooms[0] })).toEqual({ unreadCount: 2 });
  });

  it('renames a user everywhere except in old messages, whatever older tokens say', async () => {
    const userId = randomInt(1_000, 2 ** 31);
    const { id: roomId } = await give('chat.rooms.create', {
      type: 'GROUP',
      memberIds: [kim, userId],
      memberNames: ['김철수', '옛이름'],
    });
    await say(roomId, userId, '전');
    const client = await world.client(kim);
    const bearerOfAnOldName = await world.client(userId);

    await give('chat.users.upsert', { userId, name: '새이름' });
    await bearerOfAnOldName.http(oneRoom, { id: roomId });
    await give('chat.rooms.create', { type: 'GROUP', memberIds: [kim, userId], memberNames: ['김철수', '옛이름'] });
    await say(roomId, userId, '후');

    const { room } = await client.http(oneRoom, { id: roomId });
    expect(room).toMatchObject({ title: '새이름', members: { 1: { user: { name: '새이름' } } } });
    const { messages } = await give('chat.messages.list', { roomId, limit: 2 });
    expect(messages.map(({ senderName }: { senderName: string }) => senderName)).toEqual(['새이름', '옛이름']);
  });

  it.each(noNames)('ignores the invalid name %j in other requests, and still accepts its user', async (name) => {
    const [a, b, c, d] = Array.from({ length: 4 }, () => randomInt(1_000, 2 ** 31)) as [number, number, number, number];
    const shown = (...userIds: number[]) => ({
      members: expect.arrayContaining(
        userIds.map((userId) => expect.objectContaining({ userId, userName: `#${userId}` })),
      ),
    });

    const made = await give('chat.rooms.create', { type: 'GROUP', memberIds: [a, b], memberNames: [name, name] });
    const { id: roomId } = made;
    const added = await give('chat.rooms.addMember', { roomId, userId: a, memberIds: [c], memberNames: [name] });
    const synced = await give('chat.rooms.syncMembers', {
      bookingId: randomInt(1, 2 ** 31),
      version: 1,
      members: [{ userId: a }, { userId: d, userName: name }],
    });
    const message = { id: randomUUID(), roomId, senderId: a, senderName: name, content: '네' };

    expect(made).toMatchObject(shown(a, b));
    expect(added).toMatchObject(shown(a, b, c));
    expect(synced).toMatchObject({ applied: true, ...shown(a, d) });
    expect(await give('chat.messages.save', message)).toMatchObject({ senderName: `#${a}`, duplicate: false });
  });

  it('stores a name in one line and composed, from every source, and uses that form in SYSTEM messages', async () => {
    const [a, b, c] = Array.from({ length: 3 }, () => randomInt(1_000, 2 ** 31)) as [number, number, number];
    const forged = '가\n관리자님이 여러분을 내보냈습니다.\n\u202e나\u1112\u1161\u11ab';
    const clean = '가 관리자님이 여러분을 내보냈습니다. 나한';

    expect(await give('chat.users.upsert', { userId: a, name: forged })).toEqual({ userId: a, name: clean });
    const { id: roomId } = await give('chat.rooms.create', {
      type: 'GROUP',
      memberIds: [a, b],
      memberNames: ['', forged],
    });
    await give('chat.rooms.addMember', { roomId, userId: a, memberIds: [c], memberNames: [forged] });
    const client = await world.client(a, 0, await signToken(testSecret, { userId: a, name: forged }));
    await client.http(renameRoom, { input: { roomId, name: forged } });

    const room = await give('chat.rooms.get', { roomId });
    expect(room.name).toBe(clean);
    expect(room.members.map(({ userName }: { userName: string }) => userName)).toEqual([clean, clean, clean]);
    const { messages } = await give('chat.messages.list', { roomId });
    expect(messages.map(({ content }: { content: string }) => content)).toEqual([
      `${clean}님이 대화방 이름을 '${clean}'(으)로 바꿨습니다.`,
      `${clean}님이 ${clean}님을 초대했습니다.`,
      `${clean}님이 대화방을 만들었습니다.`,
    ]);
  });

  it.each([
    ['a clock that is 5 s ahead', 5],
    ['a clock that is as far ahead as allowed', 29],
    ['the same second', 0],
    ['an hour before', -3_600],
  ])('lets a renaming outrank a token that was issued before it, dated by %s', async (_what, aheadSeconds) => {
    const userId = randomInt(1_000, 2 ** 31);
    const now = Math.floor(Date.now() / 1_000);
    const token = await new SignJWT({ name: '옛이름' })
      .setProtectedHeader({ alg: 'HS256' })
      .setSubject(String(userId))
      .setIssuedAt(now + aheadSeconds)
      .setExpirationTime(now + 600)
      .sign(new TextEncoder().encode(testSecret));
    const other = world.instances[1] ?? (await world.start());
    const nameAt = async (url: string) => {
      const client = await TestClient.create({ url }, userId, token);
      const { viewer } = await client.http(whoAmI, {});
      await client.close();
      return viewer.name;
    };
    expect(await nameAt(world.instances[0]?.url ?? '')).toBe('옛이름');

    await give('chat.users.upsert', { userId, name: '새이름' });

    // An instance that has not seen the token yet treats it as new.
    expect(await nameAt(other.url)).toBe('새이름');
  });

  it('accepts UUIDs in upper case', async () => {
    const { roomId, firstId } = await setScene();
    const room = { roomId: roomId.toUpperCase() };
    const messageId = firstId.toUpperCase();

    expect(await give('chat.rooms.get', room)).toMatchObject({ id: roomId });
    expect(await give('chat.messages.list', { ...room, cursor: messageId })).toMatchObject({ hasMore: false });
    expect(await give('chat.messages.unreadCount', { ...room, userId: park })).toEqual({ unreadCount: 2 });
    expect(await give('chat.messages.markRead', { ...room, userId: park, messageId })).toMatchObject({ roomId });
    expect(await give('chat.rooms.addMember', { ...room, userId: kim, memberIds: [7] })).toMatchObject({ id: roomId });
    expect(await give('chat.rooms.removeMember', { ...room, userId: 7 })).toEqual({ roomId, userId: 7 });
    const message = { id: randomUUID().toUpperCase(), ...room, senderId: lee, senderName: '이영희', content: '셋' };
    expect(await give('chat.messages.save', message)).toMatchObject({ id: message.id.toLowerCase(), roomId });
  });

  it('accepts numbers as text too, as in REST bodies', async () => {
    const room = await give('chat.rooms.create', { type: 'GROUP', memberIds: ['4', '5'] });

    expect(room.members.map(({ userId }: { userId: number }) => userId)).toEqual([kim, lee]);
  });

  it('does not count a backend against the limits of its users', async () => {
    const limited = await world.start({ SENDS_PER_MINUTE: '2', CHANGES_PER_MINUTE: '2' });
    const { roomId } = await setScene();
    const texts = Array.from({ length: 40 }, (_, at) => `많이 ${at}`);

    const sent = await Promise.all(texts.map((text) => say(roomId, lee, text)));

    expect(new Set(sent.map(({ seq }) => seq)).size).toBe(40);
    await limited.stop();
  });

  describe('a refusal', () => {
    const [nobody, nameless] = [70_000, 70_001];
    const tooMany = Array.from({ length: 501 }, (_, at) => 71_000 + at);
    const message = (scene: Scene) => ({ id: randomUUID(), roomId: scene.roomId, senderName: '누구', content: '네' });
    const refused: [string, string, (scene: Scene) => Payload | Promise<Payload>, RegExp][] = [
      ['addMember of too many', 'rooms.addMember', inviteTo(tooMany), /^memberIds must have at most 500 entries$/],
      ['addMember to a full room', 'rooms.addMember', fillAndInvite, /^memberIds: .*maxRoomMembers/],
      ['addMember to a DIRECT room', 'rooms.addMember', inviteToDirect, /GROUP/],
      ['create of too many', 'rooms.create', () => group(tooMany), /^memberIds must have at most 500 entries$/],
      [
        'create of too many with their creator',
        'rooms.create',
        () => full(nobody),
        /^memberIds must have at most 500 /,
      ],
      ['create of a room with an empty name', 'rooms.create', () => ({ ...group([nobody]), name: '' }), /^name must /],
      ['create of a DIRECT room of three', 'rooms.create', () => direct(kim, nobody, nameless), /^memberIds must /],
      [
        'create of a DIRECT room with a name',
        'rooms.create',
        () => ({ ...direct(kim, nobody), name: 'x' }),
        /^name must /,
      ],
      [
        'create of a room of a booking with too many',
        'rooms.create',
        () => ofBooking(tooMany),
        /^memberIds must have /,
      ],
      [
        'create of a BOOKING room without a booking',
        'rooms.create',
        () => ({ ...ofBooking([nobody]), bookingId: null }),
        /^bookingId /,
      ],
      [
        'syncMembers of too many',
        'rooms.syncMembers',
        () => listed(tooMany),
        /^members must have at most 500 entries$/,
      ],
      ['removeMember of a user who is not a member', 'rooms.removeMember', kickNobody, /^memberId: /],
      [
        'save of empty content',
        'messages.save',
        (scene) => ({ ...message(scene), senderId: nameless, content: '' }),
        /^content /,
      ],
      [
        'save of an IMAGE that is a text',
        'messages.save',
        (scene) => ({ ...message(scene), senderId: kim, type: 'IMAGE' }),
        /^content /,
      ],
      ['save by a stranger', 'messages.save', (scene) => ({ ...message(scene), senderId: nobody }), /no such room/],
      ['save of an announcement in an unknown room', 'messages.save', announceNowhere, /no such room/],
      ['save of an announcement under a used id', 'messages.save', announceAgain, /id was used/],
      ['save in a cancelled room', 'messages.save', saveInCancelled, /cancelled/],
    ];

    it.each(refused)(
      'of %s names the field of the caller and leaves nothing behind',
      async (_what, subject, make, error) => {
        const scene = await setScene();
        const payload = await make(scene);
        const before = await readUsers();

        const answer = await ask(`chat.${subject}`, payload);

        expect(answer).toEqual({ success: false, code: expect.any(String), error: expect.stringMatching(error) });
        expect(await readUsers()).toEqual(before);
      },
    );

    const readUsers = () => world.database.query('SELECT id, name FROM chat_users ORDER BY id');
    const group = (memberIds: readonly number[]) => ({ type: 'GROUP', memberIds });
    const full = (creatorId: number) => ({ ...group(tooMany.slice(1)), creatorId });
    const direct = (...memberIds: number[]) => ({ type: 'DIRECT', memberIds });
    const ofBooking = (memberIds: readonly number[]) => ({
      ...group(memberIds),
      type: 'BOOKING',
      bookingId: randomInt(1, 2 ** 31),
    });
    const listed = (userIds: readonly number[]) => ({
      bookingId: randomInt(1, 2 ** 31),
      version: 1,
      members: userIds.map((userId) => ({ userId, userName: '누구' })),
    });

    function inviteTo(memberIds: readonly number[]) {
      return ({ roomId }: Scene) => ({ roomId, userId: kim, memberIds });
    }
    async function fillAndInvite() {
      const { id: roomId } = await give('chat.rooms.create', group([kim, ...tooMany.slice(2)]));
      return { roomId, userId: kim, memberIds: [nobody], memberNames: ['누구'] };
    }
    async function inviteToDirect() {
      const { id: roomId } = await give('chat.rooms.create', directOf(kim, lee));
      return { roomId, userId: kim, memberIds: [nobody], memberNames: ['누구'] };
    }
    function kickNobody({ roomId }: Scene) {
      return { roomId, userId: kim, memberId: nobody };
    }
    function announceNowhere(scene: Scene) {
      return { ...message(scene), roomId: randomUUID(), senderId: nobody, type: 'SYSTEM' };
    }
    function announceAgain(scene: Scene) {
      return { ...message(scene), id: scene.firstId, senderId: nobody, type: 'SYSTEM' };
    }
    async function saveInCancelled(scene: Scene) {
      const { id: roomId } = await give('chat.rooms.create', ofBooking([nameless]));
      const { bookingId } = await give('chat.rooms.get', { roomId });
      await give('chat.rooms.cancel', { bookingId });
      return { ...message(scene), roomId, senderId: nameless };
    }
  });

  describe('with unexpected input', () => {
    it.each<[string, string | Uint8Array]>([
      ['an empty body', ''],
      ['text', 'hello'],
      ['half of a JSON document', '{"userId":'],
      ['bytes that are not UTF-8', new Uint8Array([0xff, 0xfe, 0x7b])],
      ['a list', '[]'],
      ['null', 'null'],
      ['a number', '4'],
      ['a packet of NestJS without data', JSON.stringify({ pattern: 'x', id: '1' })],
      ['a packet of NestJS with a number as id', JSON.stringify({ pattern: 'x', id: 1, data: { userId: 4 } })],
      ['a prototype', '{"__proto__":{"userId":4},"constructor":1}'],
      ['100,000 lists within each other', `${'['.repeat(100_000)}${']'.repeat(100_000)}`],
      ['a user id of 900,000 digits', `{"userId":"${'9'.repeat(900_000)}"}`],
      ['a user id 50,000 objects deep', `{"userId":${'{"userId":'.repeat(50_000)}4${'}'.repeat(50_000)}}`],
    ])('answers %s with BAD_USER_INPUT, and the next request as usual', async (_what, body) => {
      for (const subject of Object.keys(table)) {
        const answer = await asker(subject).askRaw<BackendAnswer & { response?: BackendAnswer }>(subject, body);
        expect(answer.response ?? answer).toMatchObject({ success: false, code: 'BAD_USER_INPUT' });
      }
      expect(await ask('chat.rooms.list', { userId: kim })).toMatchObject({ success: true });
    });

    it('handles requests without a reply subject', async () => {
      const { roomId } = await setScene();
      const input = { id: randomUUID(), roomId, senderId: lee, content: '답장 없이', type: 'TEXT' };

      backend.connection.publish('chat.messages.save', 'nonsense');
      backend.connection.publish('chat.messages.save', JSON.stringify(input));
      backend.connection.publish('chat.rooms.get', JSON.stringify({ pattern: 'chat.rooms.get', data: { roomId } }));

      const find = async () =>
        (await give('chat.messages.list', { roomId, limit: 1 })).messages[0].content === '답장 없이';
      await waitFor(find, { what: 'the message' });
    });

    it('masks a fault of its own, in the form of the caller, and logs it', async () => {
      const { roomId, firstId } = await setScene();
      const payload = { roomId, userId: kim, messageId: firstId };
      await world.database.query('ALTER FUNCTION chat_move_mark RENAME TO chat_move_mark_away');
      const plain = await backend.ask('chat.messages.markRead', payload);
      const packet = JSON.stringify({ pattern: 'x', id: '7', data: payload });
      const nest = await backend.askRaw<unknown>('chat.messages.markRead', packet);
      await world.database.query('ALTER FUNCTION chat_move_mark_away RENAME TO chat_move_mark');

      const masked = { code: 'INTERNAL', correlationId: expect.any(String) };
      expect(plain).toEqual({ success: false, error: 'Something went wrong on our side', ...masked });
      const message = 'Something went wrong on our side';
      expect(nest).toEqual({ id: '7', isDisposed: true, err: { status: 'error', message, ...masked } });
      const outputs = world.instances.map((instance) => instance.output()).join('');
      expect(outputs).toContain((plain as { correlationId?: string }).correlationId);
    });
  });
});

const directOf = (a: number, b: number) => ({ type: 'DIRECT', memberIds: [a, b], memberNames: ['가', '나'] });

/** Members of a room with names of almost the maximum length. */
function longNamed(userId: number, count: number) {
  const memberIds = [userId, ...Array.from({ length: count - 1 }, (_, at) => 10_000 + at)];
  return { memberIds, memberNames: memberIds.map((id) => `${'긴'.repeat(90)}${id}`) };
}
