import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { connectDatabase, type Database } from '../../src/db/database.js';
import { createLogStore } from '../../src/db/log-store.js';
import { markRead } from '../../src/db/read-marks.js';
import {
  announce,
  appendMessage,
  createRoom,
  deleteMessage,
  editMessage,
  inviteMembers,
  leaveRoom,
  type NewMessage,
  removeMember,
  setAdmin,
  updateRoom,
  type Writer,
} from '../../src/db/room-log.js';
import { introduceUsers } from '../../src/db/users.js';
import type { LogEntry, LogStore } from '../../src/domain/room-log.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { waitFor } from '../support/wait-for.js';

const [admin, member, leaver, stranger] = [4, 5, 8, 9] as const;

describe('the room log', () => {
  let database: TestDatabase;
  let db: Database;
  let store: LogStore;

  beforeAll(async () => {
    database = await createDatabase();
    db = connectDatabase({ url: database.url });
    store = createLogStore(db);
  });
  afterAll(async () => {
    await db.close();
    await database.drop();
  });

  async function makeRoom(type: 'GROUP' | 'DIRECT' = 'GROUP'): Promise<string> {
    const { roomId } = await createRoom(db, {
      id: randomUUID(),
      type,
      name: null,
      directKey: type === 'DIRECT' ? `${admin}:${member}` : null,
      creatorId: admin,
      memberIds: [admin, member],
      messageId: randomUUID(),
    });
    return roomId;
  }

  const text = (roomId: string, content: string, more: Partial<NewMessage> = {}): NewMessage => ({
    id: randomUUID(),
    roomId,
    senderId: admin,
    type: 'TEXT',
    content,
    ...more,
  });

  async function send(roomId: string, content: string): Promise<string> {
    const message = text(roomId, content);
    await appendMessage(db, message);
    return message.id;
  }

  /** Sends a message as a user who is invited for it and leaves right after it. */
  async function sendAndLeave(roomId: string): Promise<NewMessage> {
    const message = text(roomId, '안녕히', { senderId: leaver });
    await inviteMembers(db, change(roomId), { userIds: [leaver], maxMembers: 500 });
    await appendMessage(db, message);
    await leaveRoom(db, change(roomId, leaver), randomUUID());
    return message;
  }

  const change = (roomId: string, actorId: number = admin) => ({ roomId, actorId, messageId: randomUUID() });

  const headOf = async (roomId: string) => (await store.readHead(roomId))?.seq;

  /** The positions of all entries that are not overwritten. */
  const positionsOf = async (roomId: string) => {
    const messages = await db.writes.prisma.chatMessage.findMany({ where: { roomId } });
    return messages
      .flatMap(({ seq, changedSeq }) => (changedSeq === seq ? [seq] : [seq, changedSeq]))
      .sort((a, b) => a - b);
  };

  describe('burns no position', () => {
    /** The room before the write: a sent text, a deleted text, a notice and a membership. */
    interface Before {
      readonly roomId: string;
      readonly sent: NewMessage;
      readonly deletedId: string;
      readonly noticeId: string;
      readonly membershipId: string;
      /** A text whose author has left since. */
      readonly left: NewMessage;
    }

    it.each<[string, string, (before: Before) => Promise<{ outcome: string }>]>([
      ['a duplicate', 'DUPLICATE', ({ sent }) => appendMessage(db, sent)],
      ['the same id with another content', 'CONFLICT', ({ sent }) => appendMessage(db, { ...sent, content: 'x' })],
      ['the same id by another author', 'CONFLICT', ({ sent }) => appendMessage(db, { ...sent, senderId: member })],
      [
        'the id of a notice',
        'CONFLICT',
        ({ roomId, noticeId }) => appendMessage(db, text(roomId, 'x', { id: noticeId })),
      ],
      ['the id of a room', 'CONFLICT', ({ roomId }) => appendMessage(db, text(roomId, 'x', { id: roomId }))],
      [
        'the id of a membership',
        'CONFLICT',
        ({ roomId, membershipId }) => appendMessage(db, text(roomId, 'x', { id: membershipId })),
      ],
      [
        'an announcement with the id of a room',
        'CONFLICT',
        ({ roomId }) => announce(db, text(roomId, 'x', { id: roomId })),
      ],
      [
        'an announcement with the id of a membership',
        'CONFLICT',
        ({ roomId, membershipId }) => announce(db, text(roomId, 'x', { id: membershipId })),
      ],
      ['a duplicate by a former member', 'DUPLICATE', ({ left }) => appendMessage(db, left)],
      [
        'the id of a message by a former member with another content',
        'CONFLICT',
        ({ left }) => appendMessage(db, { ...left, content: 'x' }),
      ],
      [
        'the id of a message by another author, sent by a former member',
        'NOT_FOUND',
        ({ sent, left }) => appendMessage(db, { ...left, id: sent.id }),
      ],
      ['another send by a former member', 'NOT_FOUND', ({ left }) => appendMessage(db, { ...left, id: randomUUID() })],
      [
        'a send by a stranger',
        'NOT_FOUND',
        ({ roomId }) => appendMessage(db, text(roomId, 'x', { senderId: stranger })),
      ],
      ['a send to no room', 'NOT_FOUND', () => appendMessage(db, text(randomUUID(), 'x'))],
      ['an edit to the same text', 'UNCHANGED', ({ sent }) => editMessage(db, sent.id, admin, sent.content)],
      ['an edit by another', 'NOT_AUTHOR', ({ sent }) => editMessage(db, sent.id, member, 'x')],
      ['an edit by a stranger', 'NOT_FOUND', ({ sent }) => editMessage(db, sent.id, stranger, 'x')],
      [
        'an edit of a text that was edited since',
        'EDITED',
        ({ sent }) => editMessage(db, sent.id, admin, 'x', new Date(0)),
      ],
      ['an edit of a deleted text', 'DELETED', ({ deletedId }) => editMessage(db, deletedId, admin, 'x')],
      ['an edit of a notice', 'NOT_TEXT', ({ noticeId }) => editMessage(db, noticeId, admin, 'x')],
      ['an edit of nothing', 'NOT_FOUND', () => editMessage(db, randomUUID(), admin, 'x')],
      ['a second deletion', 'UNCHANGED', ({ deletedId }) => deleteMessage(db, deletedId, admin)],
      ['a deletion by another', 'NOT_AUTHOR', ({ sent }) => deleteMessage(db, sent.id, member)],
      ['a deletion of a notice', 'NOT_TEXT', ({ noticeId }) => deleteMessage(db, noticeId, admin)],
      ['the same name', 'UNCHANGED', ({ roomId }) => updateRoom(db, change(roomId), named('모임'))],
      ['a name by a plain member', 'NOT_ADMIN', ({ roomId }) => updateRoom(db, change(roomId, member), named('x'))],
      [
        'an invitation of members',
        'UNCHANGED',
        ({ roomId }) => inviteMembers(db, change(roomId), { userIds: [admin, member], maxMembers: 500 }),
      ],
      [
        'an invitation beyond the limit',
        'FULL',
        ({ roomId }) => inviteMembers(db, change(roomId), { userIds: [6, 7], maxMembers: 3 }),
      ],
      [
        'an invitation by a stranger',
        'NOT_FOUND',
        ({ roomId }) => inviteMembers(db, change(roomId, stranger), { userIds: [6], maxMembers: 500 }),
      ],
      ['a removal of nobody', 'NO_SUCH_MEMBER', ({ roomId }) => removeMember(db, change(roomId), stranger)],
      ['a removal by a plain member', 'NOT_ADMIN', ({ roomId }) => removeMember(db, change(roomId, member), admin)],
      ['an admin made admin', 'UNCHANGED', ({ roomId }) => setAdmin(db, change(roomId), admin, true)],
      ['the last admin made a plain member', 'LAST_ADMIN', ({ roomId }) => setAdmin(db, change(roomId), admin, false)],
      ['a stranger who leaves', 'NOT_FOUND', ({ roomId }) => leaveRoom(db, change(roomId, stranger), randomUUID())],
      ['a read mark', 'OK', ({ roomId, sent }) => markRead(db, { roomId, userId: member, messageId: sent.id })],
      [
        'a read mark up to nothing',
        'FOREIGN_MESSAGE',
        ({ roomId }) => markRead(db, { roomId, userId: member, messageId: randomUUID() }),
      ],
    ])('for %s: %s', async (_what, expected, write) => {
      const roomId = await makeRoom();
      const sent = text(roomId, '안녕');
      await appendMessage(db, sent);
      const deletedId = await send(roomId, '지울 것');
      await deleteMessage(db, deletedId, admin);
      await updateRoom(db, change(roomId), named('모임'));
      const left = await sendAndLeave(roomId);
      const notice = await db.writes.prisma.chatMessage.findFirst({ where: { roomId, seq: 1 } });
      const membership = await db.writes.prisma.chatRoomMember.findFirst({ where: { roomId } });
      const before = await headOf(roomId);

      const noticeId = notice?.id ?? '';
      const answer = await write({ roomId, sent, deletedId, noticeId, membershipId: membership?.id ?? '', left });

      expect(answer.outcome).toBe(expected);
      expect('entries' in answer ? answer.entries : []).toEqual([]);
      expect(await headOf(roomId)).toBe(before);
      expect((await appendMessage(db, text(roomId, '다음'))).message?.seq).toBe(9);
    });

    it.each([
      ['a name', (room: string) => updateRoom(db, change(room), named('x')), 'NOT_GROUP'],
      [
        'an invitation',
        (room: string) => inviteMembers(db, change(room), { userIds: [6], maxMembers: 500 }),
        'NOT_GROUP',
      ],
      ['a removal', (room: string) => removeMember(db, change(room), member), 'NOT_GROUP'],
      ['an admin', (room: string) => setAdmin(db, change(room), member, true), 'NOT_GROUP'],
      ['a member who leaves', (room: string) => leaveRoom(db, change(room), randomUUID()), 'DIRECT'],
    ])('for %s in a DIRECT room', async (_what, write, expected) => {
      const room = await makeRoom('DIRECT');

      expect((await write(room)).outcome).toBe(expected);
      expect(await headOf(room)).toBe(1);
    });
  });

  it('gives a change the next position, and keeps the message at its own', async () => {
    const room = await makeRoom();
    const id = await send(room, '하나');
    await send(room, '둘');

    const edited = await editMessage(db, id, admin, '하나!');
    const deleted = await deleteMessage(db, id, admin);

    expect(edited.message).toMatchObject({ seq: 2, changedSeq: 4, content: '하나!', deletedAt: null });
    expect(deleted.message).toMatchObject({ seq: 2, changedSeq: 5, content: null });
    expect(edited.entries.map(({ kind, seq }) => [kind, seq])).toEqual([['updated', 4]]);
    expect(deleted.entries.map(({ kind, seq }) => [kind, seq])).toEqual([['deleted', 5]]);
    expect(await headOf(room)).toBe(5);
  });

  it('writes two entries when the last admin leaves', async () => {
    const room = await makeRoom();

    const { entries } = await leaveRoom(db, change(room), randomUUID());

    expect(entries.map(({ seq, message }) => [seq, message.system])).toEqual([
      [2, { code: 'MEMBER_LEFT', userIds: [admin] }],
      [3, { code: 'ADMIN_GRANTED', userIds: [member] }],
    ]);
  });

  it('names ten of the users in a notice, and counts the others', async () => {
    const room = await makeRoom();
    const userIds = Array.from({ length: 498 }, (_, index) => 1_000 + index);
    const names = userIds.map((id) => `${'긴'.repeat(96)}${id}`);
    await introduceUsers(
      db,
      userIds.map((userId, index) => ({ userId, userName: names[index] ?? null })),
    );

    const many = await inviteMembers(db, change(room), { userIds: userIds.slice(11), maxMembers: 500 });
    const eleven = await inviteMembers(db, change(room), { userIds: userIds.slice(0, 11), maxMembers: 500 });
    const ten = await inviteMembers(db, change(await makeRoom()), { userIds: userIds.slice(0, 10), maxMembers: 500 });

    const shown = names.slice(0, 10).map((name) => `${name}님`);
    expect(ten.message?.content).toBe(`#4님이 ${shown.join(', ')}을 초대했습니다.`);
    expect(eleven.message?.content).toBe(`#4님이 ${shown.join(', ')} 외 1명을 초대했습니다.`);
    expect(many.message?.content).toMatch(/ 외 477명을 초대했습니다\.$/);
    expect(many.message?.content?.length).toBeLessThan(1_200);
    expect(many.message?.system?.userIds).toEqual(userIds.slice(11));
  });

  it('never moves a read mark back, whatever the order of the reports from several connections', async () => {
    const room = await makeRoom();
    const ids = await Promise.all(Array.from({ length: 20 }, (_, index) => send(room, `${index}`)));

    await Promise.all(ids.map((id) => markRead(db, { roomId: room, userId: member, messageId: id })));

    const row = await db.writes.prisma.chatRoomMember.findFirst({ where: { roomId: room, userId: member } });
    expect(row?.lastReadSeq).toBe(21);
  });

  it('returns the read marks of rooms that moved lately, the newest last', async () => {
    const [room, other] = [await makeRoom(), await makeRoom()];
    const [first, second, elsewhere] = [await send(room, '1'), await send(room, '2'), await send(other, '3')];
    await markRead(db, { roomId: room, userId: member, messageId: first });
    await markRead(db, { roomId: room, userId: admin, messageId: second });
    await markRead(db, { roomId: other, userId: member, messageId: elsewhere });
    const read = async (roomIds: string[], count = 10) =>
      (await store.readMarks({ roomIds, ageMs: 30_000, count })).map(({ roomId, userId, lastReadSeq }) => [
        roomId,
        userId,
        lastReadSeq,
      ]);

    const own = [
      [room, member, 2],
      [room, admin, 3],
    ];
    expect(await read([room])).toEqual(own);
    expect(await read([room, other])).toEqual([...own, [other, member, 2]]);
    expect(await read([room], 1)).toEqual(own.slice(1));
    await database.query(
      `UPDATE chat_room_members SET last_read_at = last_read_at - interval '1 minute' WHERE room_id = $1 AND user_id = $2`,
      [room, member],
    );
    expect(await read([room])).toEqual(own.slice(1));
  });

  it('numbers many simultaneous writes from 1 to n without a gap', async () => {
    const room = await makeRoom();
    const writes = Array.from({ length: 200 }, (_, index) => async () => {
      const id = await send(room, `${index}`);
      const inTurn = <T>(work: (db: Writer) => Promise<T>) =>
        db.changes.change(`room ${room}`, (writes) => work({ writes }), { user: index });
      if (index % 5 === 0) await inTurn((writer) => editMessage(writer, id, admin, `${index}!`));
      if (index % 7 === 0) await inTurn((writer) => deleteMessage(writer, id, admin));
      const invitation = { userIds: [100 + index], maxMembers: 500 };
      if (index % 20 === 0) await inTurn((writer) => inviteMembers(writer, change(room), invitation));
    });

    await Promise.all(writes.map((write) => write()));

    // 1 created, 200 sent, 40 edited, 29 deleted, 10 invited; 6 of the edits are overwritten by a deletion.
    expect(await headOf(room)).toBe(280);
    const positions = await positionsOf(room);
    expect(new Set(positions).size).toBe(positions.length);
    expect(positions).toHaveLength(280 - 6);
    const seqs = await db.writes.prisma.chatMessage.findMany({ where: { roomId: room }, orderBy: { seq: 'asc' } });
    expect(seqs).toHaveLength(211);
  });

  it('numbers simultaneous plain sends from 1 to n, and returns each sender its own message', async () => {
    const room = await makeRoom();
    const messages = Array.from({ length: 200 }, (_, index) =>
      text(room, `${index}`, { senderId: index % 2 === 0 ? admin : member }),
    );

    const answers = await Promise.all(messages.map((message) => appendMessage(db, message)));

    expect(answers.map(({ message }) => [message?.id, message?.content])).toEqual(
      messages.map(({ id, content }) => [id, content]),
    );
    expect(await positionsOf(room)).toEqual(Array.from({ length: 201 }, (_, index) => index + 1));
  });

  it('returns the same for sends that share a commit as for single sends', async () => {
    const [room, cancelled] = [await makeRoom(), await makeRoom()];
    const stored = text(room, '있던 것');
    const deleted = await send(room, '지운 것');
    await deleteMessage(db, deleted, admin);
    await appendMessage(db, stored);
    const kept = text(cancelled, '취소 전');
    await appendMessage(db, kept);
    await database.query('UPDATE chat_rooms SET cancelled_at = now() WHERE id = $1', [cancelled]);
    const left = await sendAndLeave(room);
    const membership = await db.writes.prisma.chatRoomMember.findFirst({ where: { roomId: room } });
    const fresh = text(room, '새 것');
    const sends: readonly [NewMessage, string][] = [
      [fresh, 'OK'],
      [fresh, 'DUPLICATE'],
      [{ ...fresh, content: '다른 내용' }, 'CONFLICT'],
      [{ ...fresh, senderId: member }, 'CONFLICT'],
      [stored, 'DUPLICATE'],
      [{ ...stored, type: 'IMAGE' }, 'CONFLICT'],
      [{ ...stored, roomId: cancelled }, 'CONFLICT'],
      [{ ...text(room, '지운 것'), id: deleted }, 'DUPLICATE'],
      [text(room, '남', { senderId: stranger }), 'NOT_FOUND'],
      [text(randomUUID(), '없는 방'), 'NOT_FOUND'],
      [text(cancelled, '취소 뒤'), 'CANCELLED'],
      [text(room, '방의 이름으로', { id: cancelled }), 'CONFLICT'],
      [text(room, '자리의 이름으로', { id: membership?.id ?? '' }), 'CONFLICT'],
      [left, 'DUPLICATE'],
      [{ ...left, content: '다른 내용' }, 'CONFLICT'],
      [{ ...left, id: stored.id }, 'NOT_FOUND'],
      [text(room, '나간 뒤', { senderId: leaver }), 'NOT_FOUND'],
      [kept, 'DUPLICATE'],
      [text(room, '또 하나', { senderId: member }), 'OK'],
    ];
    const statements = vi.spyOn(pg.Client.prototype, 'query');

    // The first send is a commit of its own; the others wait for it and share the second commit.
    const first = appendMessage(db, text(room, '먼저'));
    const answers = await Promise.all(sends.map(([message]) => appendMessage(db, message)));
    await first;

    const calls = statements.mock.calls.map(([statement]) => (statement as unknown as { text: string }).text);
    statements.mockRestore();
    expect(calls.map((sql) => /chat_send_\w+/.exec(sql)?.[0])).toEqual(['chat_send_message', 'chat_send_messages']);
    expect(answers.map(({ outcome }) => outcome)).toEqual(sends.map(([, outcome]) => outcome));
    for (const [index, { outcome, message, entries }] of answers.entries()) {
      const id = sends[index]?.[0].id;
      const isNone = outcome === 'NOT_FOUND' || outcome === 'CANCELLED' || id === cancelled || id === membership?.id;
      expect(message?.id).toBe(isNone ? undefined : id);
      expect(entries).toHaveLength(outcome === 'OK' ? 1 : 0);
    }
    expect(answers[1]?.message).toEqual(answers[0]?.message);
    expect(answers[4]?.message?.content).toBe('있던 것');
    expect(await headOf(room)).toBe(answers.at(-1)?.message?.seq);
    expect(await headOf(cancelled)).toBe(2);
  });

  it('writes the other sends of the moment while somebody else holds a room', async () => {
    const [free, locked] = [await makeRoom(), await makeRoom()];
    const holder = new pg.Client({ connectionString: database.url });
    await holder.connect();
    onTestFinished(() => holder.end());
    await holder.query('BEGIN');
    await holder.query('SELECT FROM chat_rooms WHERE id = $1 FOR UPDATE', [locked]);
    const statements = vi.spyOn(pg.Client.prototype, 'query');
    const sends = () =>
      statements.mock.calls.flatMap(([statement]) =>
        Array.from(/chat_send_\w+/.exec((statement as unknown as { text?: string }).text ?? '') ?? []),
      );

    const first = appendMessage(db, text(free, '먼저'));
    const held = [appendMessage(db, text(locked, '하나')), appendMessage(db, text(locked, '둘'))];
    const others = [appendMessage(db, text(free, '셋')), appendMessage(db, text(free, '넷'))];

    const answers = await Promise.all([first, ...others]);
    expect(answers.map(({ outcome }) => outcome)).toEqual(['OK', 'OK', 'OK']);
    await waitFor(() => sends().length === 4, { what: 'the held ones to wait by themselves' });
    // The first send, all others, those whose room is free, and those that wait together for their room.
    expect(sends()).toEqual(['chat_send_message', ...Array(3).fill('chat_send_messages')]);
    statements.mockRestore();
    const head = (await headOf(locked)) ?? 0;
    await holder.query('ROLLBACK');
    expect((await Promise.all(held)).map(({ message }) => message?.seq)).toEqual([head + 1, head + 2]);
  });

  it('writes sends with the same ids in two orders, in two rooms over two connections, without a deadlock', async () => {
    const rooms = await Promise.all([makeRoom(), makeRoom(), makeRoom()]);
    const other = connectDatabase({ url: database.url });
    for (let round = 0; round < 10; round += 1) {
      const ids = Array.from({ length: 110 }, () => randomUUID());
      const answers = await Promise.all([
        ...ids.map((id) => appendMessage(db, text(rooms[0] ?? '', 'x', { id }))),
        ...ids.toReversed().map((id) => appendMessage(other, text(rooms[1] ?? '', 'x', { id }))),
        ...[db, other].map((database) => appendMessage(database, text(rooms[2] ?? '', 'innocent'))),
      ]);
      expect(answers.slice(-2).map(({ outcome }) => outcome)).toEqual(['OK', 'OK']);
      expect(answers.filter(({ outcome }) => outcome === 'OK')).toHaveLength(112);
    }
    await other.close();
  });

  it('sends to other rooms while one is locked', async () => {
    const [locked, free] = [await makeRoom(), await makeRoom()];
    const holder = new pg.Client({ connectionString: database.url });
    await holder.connect();
    await holder.query('BEGIN');
    await holder.query('SELECT FROM chat_rooms WHERE id = $1 FOR NO KEY UPDATE', [locked]);

    const waiting = appendMessage(db, text(locked, '기다림'));
    const sent = await appendMessage(db, text(free, '먼저'));
    await holder.query('COMMIT');
    await holder.end();

    expect([sent.outcome, (await waiting).outcome]).toEqual(['OK', 'OK']);
  });

  it('accepts an id in one of two rooms if both receive it at once over two connections, and loses nothing else', async () => {
    const rooms = await Promise.all([makeRoom(), makeRoom()]);
    const other = connectDatabase({ url: database.url });
    for (let round = 0; round < 30; round += 1) {
      const id = randomUUID();
      const answers = await Promise.all(
        [db, other].flatMap((database, place) => {
          const roomId = rooms[place] ?? '';
          const many = Array.from({ length: 5 }, (_, index) => text(roomId, `${round} ${index}`));
          const shared = text(roomId, 'shared', { id });
          return [...many.slice(0, 3), shared, ...many.slice(3)].map((message) => appendMessage(database, message));
        }),
      );
      const shared = answers.filter(({ message }) => message?.id === id || message === null);
      expect(shared.map(({ outcome }) => outcome).sort()).toEqual(['CONFLICT', 'OK']);
      expect(answers.filter(({ outcome }) => outcome === 'OK')).toHaveLength(11);
    }
    await other.close();

    for (const room of rooms) {
      const head = (await headOf(room)) ?? 0;
      expect(await positionsOf(room)).toEqual(Array.from({ length: head }, (_, index) => index + 1));
    }
  });

  it('keeps rooms separate that are written to at once', async () => {
    const rooms = await Promise.all(Array.from({ length: 5 }, () => makeRoom()));

    await Promise.all(Array.from({ length: 100 }, (_, index) => send(rooms[index % 5] ?? '', `${index}`)));

    for (const room of rooms) expect(await positionsOf(room)).toHaveLength(21);
  });

  describe('a page', () => {
    const tell = ({ kind, seq, message }: LogEntry) => [kind, seq, message.content];

    /** 1 created, 2 "하나", 3 its edit, 4 "둘", 5 another edit of "하나", 6 the deletion of "둘", 7 "셋". */
    async function writeHistory(): Promise<string> {
      const room = await makeRoom();
      const one = await send(room, '하나');
      await editMessage(db, one, admin, '하나 반');
      const two = await send(room, '둘');
      await editMessage(db, one, admin, '하나!');
      await deleteMessage(db, two, admin);
      await send(room, '셋');
      return room;
    }

    it.each<[string, { base: number; after: number; upTo: number }, ReturnType<typeof tell>[]]>([
      [
        'from the start has each message once, at the position where it was added and in its present state',
        { base: 1, after: 1, upTo: 7 },
        [
          ['added', 2, '하나!'],
          ['added', 4, null],
          ['added', 7, '셋'],
        ],
      ],
      [
        'has messages up to its base at the position of their last change',
        { base: 2, after: 2, upTo: 7 },
        [
          ['added', 4, null],
          ['updated', 5, '하나!'],
          ['added', 7, '셋'],
        ],
      ],
      [
        'with its end as the base has every position that is not overwritten',
        { base: 7, after: 1, upTo: 7 },
        [
          ['added', 2, '하나!'],
          ['added', 4, null],
          ['updated', 5, '하나!'],
          ['deleted', 6, null],
          ['added', 7, '셋'],
        ],
      ],
      [
        'continues after the previous page, with the base of the first page',
        { base: 2, after: 5, upTo: 7 },
        [['added', 7, '셋']],
      ],
      [
        'ends at its end',
        { base: 2, after: 2, upTo: 5 },
        [
          ['added', 4, null],
          ['updated', 5, '하나!'],
        ],
      ],
      ['has no change beyond its end', { base: 4, after: 4, upTo: 4 }, []],
      ['has nothing after the head', { base: 7, after: 7, upTo: 100 }, []],
    ])('%s', async (_title, range, expected) => {
      const roomId = await writeHistory();

      expect((await store.readPage({ roomId, ...range })).map(tell)).toEqual(expected);
    });

    it('has 200 entries at most, and the following pages complete the log', async () => {
      const roomId = await makeRoom();
      const old = await Promise.all(Array.from({ length: 250 }, (_, index) => send(roomId, `old ${index}`)));
      const base = (await headOf(roomId)) ?? 0;
      old.reverse();
      for (let index = 0; index < 250; index += 25) {
        const batch = old.slice(index, index + 25);
        await Promise.all(batch.map((id) => editMessage(db, id, admin, 'edited')));
        await Promise.all(batch.map((_, i) => send(roomId, `new ${i}`)));
      }
      const upTo = (await headOf(roomId)) ?? 0;

      const pages: LogEntry[][] = [];
      let page: LogEntry[];
      do {
        const after = pages.at(-1)?.at(-1)?.seq ?? base;
        page = await store.readPage({ roomId, base, after, upTo });
        pages.push(page);
      } while (page.length === 200);

      expect(pages.map(({ length }) => length)).toEqual([200, 200, 100]);
      const entries = pages.flat();
      expect(entries.map(({ seq }) => seq)).toEqual(Array.from({ length: 500 }, (_, index) => base + 1 + index));
      expect(entries.filter(({ kind }) => kind === 'updated')).toHaveLength(250);
    });

    it('names the direct key, which decides the subject', async () => {
      const roomId = await makeRoom('DIRECT');

      const [entry] = await store.readPage({ roomId, base: 0, after: 0, upTo: 1 });

      expect(entry).toMatchObject({ kind: 'added', seq: 1, directKey: '4:5' });
    });
  });

  describe('a settled room', () => {
    const present = () => db.epochs.present;
    const isSettled = async (roomId: string) =>
      (await database.query('SELECT is_settled AS is FROM chat_rooms WHERE id = $1', [roomId]))[0]?.['is'];

    /** A room with three published entries, the last of them a message. */
    async function makePublished() {
      const roomId = await makeRoom();
      const id = await send(roomId, '하나');
      await send(roomId, '둘');
      await store.advancePublished([{ roomId, epoch: present(), from: 1, to: 3 }]);
      return { roomId, id };
    }

    it.each<[string, (room: { roomId: string; id: string }) => Promise<unknown>]>([
      ['a message', ({ roomId }) => send(roomId, '셋')],
      [
        'several messages in one commit',
        ({ roomId }) => Promise.all(['셋', '넷', '다섯'].map((content) => send(roomId, content))),
      ],
      ['an edit', ({ id }) => editMessage(db, id, admin, '고침')],
      ['a deletion', ({ id }) => deleteMessage(db, id, admin)],
      ['a SYSTEM message', ({ roomId }) => updateRoom(db, change(roomId), named('이름'))],
    ])('is swept again after %s', async (_what, write) => {
      const room = await makePublished();
      await store.settleRooms(0, 1_000);
      expect(await isSettled(room.roomId)).toBe(true);

      await write(room);

      expect(await isSettled(room.roomId)).toBe(false);
      const isBehind = async () => (await store.readUnpublished(0, 1_000)).some(({ roomId }) => roomId === room.roomId);
      await waitFor(isBehind, { what: 'the new entry to be old enough' });
    });

    it('is swept again after every statement that moves the position of its log', async () => {
      const rows = await database.query<{ name: string; text: string }>(
        "SELECT proname AS name, prosrc AS text FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
      );
      const moving = rows.flatMap(({ name, text }) =>
        [...text.matchAll(/UPDATE chat_rooms r\s+SET seq = [^;]*/g)].map(([statement]) => ({ name, statement })),
      );
      expect(moving.length).toBeGreaterThanOrEqual(5);
      expect(moving.filter(({ statement }) => !statement.includes('is_settled = false'))).toEqual([]);
    });

    it('has published all of its entries, and was quiet for as long as demanded', async () => {
      const [published, unpublished] = [(await makePublished()).roomId, await makeRoom()];
      await store.settleRooms(60_000, 1_000);
      expect(await isSettled(published), 'the newest entry is young').toBe(false);

      // As if it was written before the clock was set back.
      await database.query("UPDATE chat_rooms SET updated_at = updated_at + interval '1 hour' WHERE id = $1", [
        published,
      ]);
      await store.settleRooms(60_000, 1_000);
      await store.settleRooms(0, 1_000);

      expect([await isSettled(published), await isSettled(unpublished)]).toEqual([true, false]);
    });

    it('is none that a change has locked', async () => {
      const [{ roomId }, other] = [await makePublished(), await makePublished()];
      const holder = new pg.Client({ connectionString: database.url });
      await holder.connect();
      await holder.query('BEGIN');
      await holder.query('SELECT FROM chat_rooms WHERE id = $1 FOR NO KEY UPDATE', [roomId]);

      await store.settleRooms(0, 1_000);
      await holder.end();

      expect([await isSettled(roomId), await isSettled(other.roomId)]).toEqual([false, true]);
    });

    it('is one of a limited number at a time', async () => {
      await store.settleRooms(0, 1_000);
      for (let times = 0; times < 3; times += 1) await makePublished();

      expect([await store.settleRooms(0, 2), await store.settleRooms(0, 2), await store.settleRooms(0, 2)]).toEqual([
        2, 1, 0,
      ]);
    });
  });

  describe('the published mark', () => {
    const markOf = async (id: string) => (await db.writes.prisma.chatRoom.findUnique({ where: { id } }))?.publishedSeq;

    it('moves only from where it stands, over ranges in order, and never back', async () => {
      const roomId = await makeRoom();
      for (let i = 0; i < 9; i += 1) await send(roomId, `${i}`);

      await store.advancePublished([{ roomId, epoch: db.epochs.present, from: 3, to: 4 }]);
      expect(await markOf(roomId)).toBe(0);

      const marks = await store.advancePublished([
        { roomId, epoch: db.epochs.present, from: 3, to: 5 },
        { roomId, epoch: db.epochs.present, from: 1, to: 2 },
        { roomId, epoch: db.epochs.present, from: 8, to: 9 },
      ]);
      expect(marks).toEqual(new Map([[roomId, 5]]));

      await store.advancePublished([{ roomId, epoch: randomUUID(), from: 6, to: 7 }]);
      expect(await markOf(roomId), 'what was published of another log').toBe(5);

      await store.advancePublished([{ roomId, epoch: db.epochs.present, from: 1, to: 3 }]);
      expect(await markOf(roomId)).toBe(5);
    });

    it("treats entries as old that were written before the database's clock was set back", async () => {
      const behind = async (roomId: string) =>
        (await store.readUnpublished(3_600_000, 1_000)).some((room) => room.roomId === roomId);
      const [added, changed] = [await makeRoom(), await makeRoom()];
      const id = await send(changed, '처음');
      await store.advancePublished([{ roomId: changed, epoch: db.epochs.present, from: 1, to: 2 }]);
      await editMessage(db, id, admin, '고침');
      expect([await behind(added), await behind(changed)]).toEqual([false, false]);

      await database.query("UPDATE chat_messages SET created_at = created_at + interval '5 s' WHERE room_id = $1", [
        added,
      ]);
      await database.query("UPDATE chat_messages SET changed_at = changed_at + interval '5 s' WHERE id = $1", [id]);
      expect([await behind(added), await behind(changed)]).toEqual([true, true]);
      expect((await store.readBacklog()).oldestMs).toBeGreaterThanOrEqual(60_000);

      await database.query("UPDATE chat_messages SET changed_at = changed_at + interval '1 hour' WHERE id = $1", [id]);
      expect((await store.readBacklog()).oldestMs, 'as far ahead').toBeGreaterThan(3_500_000);
      await database.query('UPDATE chat_messages SET created_at = now(), changed_at = now() WHERE room_id = ANY($1)', [
        [added, changed],
      ]);
    });

    it('finds a change that is neither an edit nor a deletion by its time alone', async () => {
      const roomId = await makeRoom();
      const id = await send(roomId, '하나');
      await store.advancePublished([{ roomId, epoch: db.epochs.present, from: 1, to: 2 }]);
      await database.query(
        `WITH moved AS (UPDATE chat_rooms SET seq = 3 WHERE id = $1)
         UPDATE chat_messages SET changed_seq = 3, change = 'EDITED', changed_at = now() - interval '1 minute' WHERE id = $2`,
        [roomId, id],
      );

      const found = (await store.readUnpublished(30_000, 1_000)).find((room) => room.roomId === roomId);
      const entries = await store.readPage({ roomId, base: 3, after: 2, upTo: 3 });

      expect(found).toMatchObject({ publishedSeq: 2, seq: 3 });
      expect(entries.map(({ kind, seq, message }) => [kind, seq, message.editedAt])).toEqual([['updated', 3, null]]);
    });

    it('leaves a room among the unpublished until it has reached the head', async () => {
      const roomId = await makeRoom();
      const isBehind = async () => (await store.readUnpublished(0, 1_000)).some((room) => room.roomId === roomId);

      // Entries before this moment are older than 0 ms; after a clock correction, this may take another moment.
      await waitFor(isBehind, { what: 'the new room' });
      await store.advancePublished([{ roomId, epoch: db.epochs.present, from: 1, to: 1 }]);
      expect(await isBehind()).toBe(false);
      await send(roomId, '다음');
      await waitFor(isBehind, { what: 'the new message' });
    });
  });
});

const named = (name: string) => ({ name, imageMessageId: randomUUID() });
