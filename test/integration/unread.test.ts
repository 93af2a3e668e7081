import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectDatabase, type Database } from '../../src/db/database.js';
import { countReaders, findReaders, pageMessages } from '../../src/db/messages.js';
import { markRead } from '../../src/db/read-marks.js';
import {
  appendMessage,
  createRoom,
  deleteMessage,
  editMessage,
  inviteMembers,
  type LogWrite,
  leaveRoom,
  removeMember,
} from '../../src/db/room-log.js';
import { findRooms } from '../../src/db/room-views.js';
import { countAllUnread } from '../../src/db/rooms.js';
import { createDatabase, type TestDatabase } from '../support/database.js';

const roomCount = 2;
const userCount = 4;

/** One action of a user in a room, on a message or on another user. The numbers are places in lists. */
interface Step {
  readonly act: 'send' | 'edit' | 'delete' | 'read' | 'leave' | 'remove' | 'invite';
  readonly room: number;
  readonly user: number;
  readonly other: number;
  readonly message: number;
}

const step: fc.Arbitrary<Step> = fc.record({
  act: fc.oneof(
    { weight: 6, arbitrary: fc.constant('send' as const) },
    { weight: 4, arbitrary: fc.constant('read' as const) },
    { weight: 5, arbitrary: fc.constantFrom('edit' as const, 'delete' as const, 'leave' as const, 'remove' as const) },
    { weight: 3, arbitrary: fc.constant('invite' as const) },
  ),
  room: fc.nat(roomCount - 1),
  user: fc.nat(userCount - 1),
  other: fc.nat(userCount - 1),
  message: fc.nat(12),
});

/** The state of a room by the words of the contract, computed without the database. */
interface ModelRoom {
  readonly id: string;
  seq: number;
  readonly messages: { id: string; seq: number; senderId: number; isSystem: boolean; isDeleted: boolean }[];
  readonly members: Map<
    number,
    { isIn: boolean; joinedSeq: number; readSeq: number; marks: { seq: number; at: Date }[] }
  >;
}

describe('the unread count and the readers', () => {
  let database: TestDatabase;
  let db: Database;
  let firstFreeUser = 1;

  beforeAll(async () => {
    database = await createDatabase();
    db = connectDatabase({ url: database.url });
  });
  afterAll(async () => {
    await db.close();
    await database.drop();
  });

  it('match the contract after any history of sends, edits, deletions, reads, leaving and coming back', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 80 }), async (steps) => {
        const users = Array.from({ length: userCount }, (_, index) => firstFreeUser + index);
        firstFreeUser += userCount;
        const rooms: ModelRoom[] = [];
        for (let index = 0; index < roomCount; index += 1) rooms.push(await makeRoom(users));

        for (const next of steps) await take(next, rooms[next.room] as ModelRoom, users);

        for (const user of users) await expectUnread(rooms, user);
        for (const room of rooms) await expectReaders(room);
      }),
      { numRuns: 60 },
    );
  });

  async function makeRoom(users: readonly number[]): Promise<ModelRoom> {
    const [creatorId = 0] = users;
    const [id, messageId] = [randomUUID(), randomUUID()];
    const names = { name: null, directKey: null };
    await createRoom(db, { id, type: 'GROUP', ...names, creatorId, memberIds: users, messageId });
    const messages = [{ id: messageId, seq: 1, senderId: creatorId, isSystem: true, isDeleted: false }];
    const members: ModelRoom['members'] = new Map();
    for (const user of users) members.set(user, { isIn: true, joinedSeq: 1, readSeq: 0, marks: [] });
    return { id, seq: 1, messages, members };
  }

  /** Executes the step in the database and, unless it is refused there, in the model. */
  async function take({ act, user, other, message }: Step, room: ModelRoom, users: readonly number[]): Promise<void> {
    const [actorId = 0, otherId = 0] = [users[user], users[other]];
    const target = room.messages[message % room.messages.length] as ModelRoom['messages'][number];
    const change = { roomId: room.id, actorId, messageId: randomUUID() };
    const member = room.members.get(actorId);
    switch (act) {
      case 'send': {
        const sent = {
          id: change.messageId,
          roomId: room.id,
          senderId: actorId,
          type: 'TEXT',
          content: '안녕',
        } as const;
        return note(room, await appendMessage(db, sent));
      }
      case 'edit':
        return note(room, await editMessage(db, target.id, actorId, `${room.seq}`));
      case 'delete':
        return note(room, await deleteMessage(db, target.id, actorId));
      case 'read': {
        const read = await markRead(db, { roomId: room.id, userId: actorId, messageId: target.id, isCounted: true });
        expect(read.outcome === 'NOT_FOUND').toBe(member?.isIn !== true);
        if (member?.isIn !== true) return;
        if (target.seq > member.readSeq) {
          member.readSeq = target.seq;
          member.marks.push({ seq: target.seq, at: read.member?.lastReadAt as Date });
        }
        expect(read.room?.preloaded?.unreadCount).toBe(unreadBy(actorId, room));
        return;
      }
      case 'leave':
        return note(room, await leaveRoom(db, change, randomUUID()));
      case 'remove':
        return note(room, await removeMember(db, change, otherId));
      case 'invite':
        return note(room, await inviteMembers(db, change, { userIds: [otherId], maxMembers: 500 }));
    }
  }

  /** Applies the written entries to the model. */
  function note(room: ModelRoom, { entries }: LogWrite): void {
    for (const { kind, message } of entries) {
      room.seq += 1;
      const known = room.messages.find(({ id }) => id === message.id);
      if (kind === 'added') {
        const { id, senderId, system } = message;
        room.messages.push({ id, seq: room.seq, senderId, isSystem: system !== null, isDeleted: false });
      }
      if (kind === 'deleted' && known !== undefined) known.isDeleted = true;
      for (const user of message.system?.userIds ?? []) {
        const member = room.members.get(user);
        if (member === undefined) continue;
        if (message.system?.code === 'MEMBERS_JOINED') Object.assign(member, { isIn: true, joinedSeq: room.seq });
        if (message.system?.code === 'MEMBER_LEFT' || message.system?.code === 'MEMBER_REMOVED') member.isIn = false;
      }
    }
  }

  /** "Messages from others, neither SYSTEM nor deleted, after the viewer's read mark and joining." */
  function unreadBy(user: number, { messages, members }: ModelRoom): number {
    const member = members.get(user);
    if (member?.isIn !== true) return 0;
    return messages
      .filter(({ senderId }) => senderId !== user)
      .filter(({ isSystem, isDeleted }) => !isSystem && !isDeleted)
      .filter(({ seq }) => seq > member.readSeq && seq > member.joinedSeq).length;
  }

  async function expectUnread(rooms: readonly ModelRoom[], user: number): Promise<void> {
    const expected = rooms.map((room) => unreadBy(user, room));
    const ids = rooms.map(({ id }) => id);

    const selection = { parts: ['unreadCount'] as const, memberDetails: [] };
    const asked = ids.map((roomId) => ({ roomId, userId: user, selection }));
    const roomOf = await findRooms(db, asked);

    expect(asked.map((room) => roomOf(room)?.preloaded?.unreadCount ?? 0)).toEqual(expected);
    expect(await countAllUnread(db, user)).toBe(expected.reduce((sum, count) => sum + count, 0));
  }

  /** Members whose mark is at or past the message, since their first such mark; not its author. */
  async function expectReaders(room: ModelRoom): Promise<void> {
    const messages = room.messages.map(({ id, seq, senderId }) => ({ id, roomId: room.id, seq, senderId }));
    const expected = messages.map(({ seq, senderId }) =>
      [...room.members]
        .filter(([user, { isIn, readSeq }]) => isIn && user !== senderId && readSeq >= seq)
        .map(([userId, { marks }]) => ({ userId, readAt: marks.find((mark) => mark.seq >= seq)?.at }))
        .sort((a, b) => a.userId - b.userId),
    );

    const viewer = [...room.members].find(([, { isIn }]) => isIn)?.[0];
    if (viewer === undefined) return;
    const asked = messages.map((message) => ({ message, userId: viewer }));
    const [countOf, readersOf] = [await countReaders(db, asked), await findReaders(db, asked)];

    const counts = expected.map(({ length }) => length);
    expect(asked.map((message) => countOf(message))).toEqual(counts);
    const page = { count: messages.length, backward: false, after: undefined, before: undefined };
    const { rows } = await pageMessages(db, room.id, viewer, { page, parts: ['readCount'] });
    expect(rows.map(({ readCount }) => readCount)).toEqual(counts);
    const found = asked.map((message) => readersOf(message) ?? []);
    expect(found.map((readers) => readers.toSorted((a, b) => a.userId - b.userId))).toEqual(expected);
    for (const readers of found) {
      const times = readers.map(({ readAt }) => readAt.getTime());
      expect(times).toEqual(times.toSorted((a, b) => a - b));
    }
  }
});
