import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { v5 as uuidv5 } from 'uuid';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { completeUpload, createUpload } from '../../src/db/attachments.js';
import { syncBooking } from '../../src/db/bookings.js';
import { connectDatabase, type Database } from '../../src/db/database.js';
import {
  appendFiles,
  appendMessage,
  createRoom,
  deleteMessage,
  editMessage,
  inviteMembers,
  type Outcome,
  updateRoom,
} from '../../src/db/room-log.js';
import { countAllUnread } from '../../src/db/rooms.js';
import { saveUser } from '../../src/db/users.js';
import type { Demo } from '../../src/dev/demo-history.js';
import { seedDemo } from '../../src/dev/seed-demo.js';
import { createDatabase, type TestDatabase } from '../support/database.js';

/** One second more than a chat change waits for a lock. */
const lockedForMs = 4_000;
const demo = JSON.parse(readFileSync(resolve(import.meta.dirname, '../../prisma/demo.json'), 'utf8')) as Demo;
const userIds = [4, 5, 6, 7];

describe('seedDemo', () => {
  let database: TestDatabase;
  let client: pg.Client;
  let db: Database;

  beforeEach(async () => {
    database = await createDatabase();
    client = new pg.Client({ connectionString: database.url });
    await client.connect();
    db = connectDatabase({ url: database.url });
  });
  afterEach(async () => {
    await client.end();
    await db.close();
    await database.drop();
  });

  it('writes four users, a room of each type and more than 200 texts', async () => {
    expect(await seedDemo(database.url)).toBe(true);

    expect(await query('SELECT id, name FROM chat_users ORDER BY id')).toEqual([
      { id: 4, name: '김철수' },
      { id: 5, name: '이영희' },
      { id: 6, name: '박영희' },
      { id: 7, name: '최민수' },
    ]);
    expect(
      await query('SELECT type, name, booking_id, direct_key, published_seq FROM chat_rooms ORDER BY type'),
    ).toEqual([
      { type: 'DIRECT', name: null, booking_id: null, direct_key: '4:5', published_seq: 0 },
      { type: 'GROUP', name: '주말 파크골프 모임', booking_id: null, direct_key: null, published_seq: 0 },
      {
        type: 'BOOKING',
        name: '한강파크골프장 라운드 예약',
        booking_id: 1001,
        direct_key: null,
        published_seq: 0,
      },
    ]);
    const [texts] = await query("SELECT count(*)::int AS count FROM chat_messages WHERE type = 'TEXT'");
    expect(texts?.count).toBeGreaterThan(200);
  });

  it('fills every position of every log exactly once', async () => {
    await seedDemo(database.url);

    const rooms = await query(
      `SELECT r.seq, array_agg(p.position ORDER BY p.position) AS positions
       FROM chat_rooms r JOIN (
         SELECT room_id, seq AS position FROM chat_messages
         UNION ALL SELECT room_id, changed_seq FROM chat_messages WHERE changed_seq <> seq
       ) p ON p.room_id = r.id GROUP BY r.id`,
    );

    expect(rooms).toHaveLength(3);
    for (const { seq, positions } of rooms) {
      expect(positions).toEqual(Array.from({ length: seq }, (_, index) => index + 1));
    }
  });

  it('writes the same as the functions of the room log, except for times', async () => {
    await seedDemo(database.url);
    const seeded = await readRooms();
    const idOf = new Map(seeded.messages.map((message) => [`${message.room_id} ${message.seq}`, message.id as string]));
    await query('TRUNCATE chat_rooms, chat_users CASCADE');

    for (const user of demo.users) await saveUser(db, { ...user, namedAt: new Date(0) });
    for (const room of demo.rooms) await replay(room, (seq) => idOf.get(`${room.id} ${seq}`) ?? '');

    expect(await readRooms()).toEqual(seeded);
  });

  it.each([
    ['in the afternoon', '2026-11-21T05:00:00Z'],
    ['right after midnight in Korea', '2026-11-20T15:00:00Z'],
    ['right before midnight in Korea', '2026-11-21T14:59:59Z'],
  ])('writes past times that grow with the positions, %s', async (_when, time) => {
    const now = new Date(time);
    await seedDemo(database.url, { now });

    const backwards = await query(
      `SELECT id FROM (
         SELECT id, at, lag(at) OVER (PARTITION BY room_id ORDER BY position) AS before FROM (
           SELECT id, room_id, seq AS position, created_at AS at FROM chat_messages
           UNION ALL SELECT id, room_id, changed_seq, coalesce(deleted_at, edited_at) FROM chat_messages WHERE changed_seq <> seq
         ) p
       ) l WHERE at < before`,
    );
    const [newest] = await query(
      `SELECT greatest((SELECT max(created_at) FROM chat_messages), (SELECT max(read_at) FROM message_reads),
                       (SELECT max(last_seen_at) FROM chat_users)) AS at`,
    );
    const rooms = await query(
      `SELECT r.created_at = min(m.created_at) AND r.updated_at = max(m.created_at) AS framed
       FROM chat_rooms r JOIN chat_messages m ON m.room_id = r.id GROUP BY r.id`,
    );

    expect(backwards).toEqual([]);
    expect(newest?.at.getTime()).toBeLessThan(now.getTime());
    expect(newest?.at.getTime()).toBeGreaterThan(now.getTime() - 10 * 60_000);
    expect(rooms).toEqual([{ framed: true }, { framed: true }, { framed: true }]);
  });

  it('leaves unread messages for everybody, and read marks that moved many times', async () => {
    await seedDemo(database.url);

    for (const userId of userIds) expect(await countAllUnread(db, userId)).toBeGreaterThan(0);
    const marks = await query(
      `SELECT m.last_read_seq, m.last_read_message_id, m.last_read_at, count(*)::int AS moves,
              max(d.seq) AS seq, max(d.read_at) AS at, bool_and(d.seq = c.seq AND d.read_at >= c.created_at) AS sound,
              (array_agg(d.message_id ORDER BY d.seq DESC))[1] AS message_id
       FROM chat_room_members m JOIN message_reads d ON d.room_id = m.room_id AND d.user_id = m.user_id
       JOIN chat_messages c ON c.id = d.message_id AND c.room_id = d.room_id GROUP BY m.id`,
    );
    expect(marks).toHaveLength(9);
    for (const mark of marks) {
      expect(mark.sound).toBe(true);
      expect(mark.moves).toBeGreaterThan(3);
      expect([mark.seq, mark.message_id, mark.at]).toEqual([
        mark.last_read_seq,
        mark.last_read_message_id,
        mark.last_read_at,
      ]);
    }
  });

  it('changes nothing the second time, even if somebody has written since', async () => {
    await seedDemo(database.url);
    const [group] = await query("SELECT id FROM chat_rooms WHERE type = 'GROUP'");
    await appendMessage(db, {
      id: '0190b5a0-0000-7000-8000-000000000001',
      roomId: group?.id,
      senderId: 7,
      type: 'TEXT',
      content: '배추 다 절였습니다',
    });
    await query("DELETE FROM chat_rooms WHERE type = 'DIRECT'");
    const before = await dump();

    expect(await seedDemo(database.url)).toBe(false);

    expect(await dump()).toEqual(before);
  });

  it('writes once when four start at the same moment', async () => {
    const answers = await Promise.all(Array.from({ length: 4 }, () => seedDemo(database.url)));

    expect(answers.filter((written) => written)).toHaveLength(1);
    expect(await query('SELECT count(*)::int AS count FROM chat_rooms')).toEqual([{ count: 3 }]);
  });

  it('waits for another seeder for longer than a change of the chat waits for a lock', async () => {
    await client.query('BEGIN');
    await client.query('LOCK chat_rooms');
    const written = seedDemo(database.url);
    const outcome = Promise.race([written.then(String, String), delay(lockedForMs, 'waits')]);

    expect(await outcome).toBe('waits');
    await client.query('COMMIT');
    expect(await written).toBe(true);
  });

  it('skips the room of two users who have one already, and keeps known names', async () => {
    await saveUser(db, { id: 4, name: '김 총무', namedAt: new Date() });
    const { roomId } = await createRoom(db, {
      id: '0190b5a0-0000-7000-8000-000000000002',
      type: 'DIRECT',
      name: null,
      directKey: '4:5',
      creatorId: 5,
      memberIds: [4, 5],
      messageId: '0190b5a0-0000-7000-8000-000000000003',
    });

    expect(await seedDemo(database.url)).toBe(true);

    expect(await query("SELECT id, seq FROM chat_rooms WHERE direct_key = '4:5'")).toEqual([{ id: roomId, seq: 1 }]);
    expect(await query('SELECT count(*)::int AS count FROM chat_rooms')).toEqual([{ count: 3 }]);
    expect(await query('SELECT name FROM chat_users WHERE id < 6 ORDER BY id')).toEqual([
      { name: '김 총무' },
      { name: '이영희' },
    ]);
  });

  it('lets a token rename its users', async () => {
    await seedDemo(database.url);

    await saveUser(db, { id: 5, name: '작은영희', namedAt: new Date(1_000) });

    expect(await query('SELECT name FROM chat_users WHERE id = 5')).toEqual([{ name: '작은영희' }]);
  });

  /** Repeats the history of the room, one call per step; `idAt` returns the id of the message at a position. */
  async function replay(room: Demo['rooms'][number], idAt: (seq: number) => string): Promise<void> {
    const { id: roomId } = room;
    expect((await create(room, idAt(1))).created).toBe(true);

    const firstTexts = new Map<string, string>();
    let seq = 1;
    for (const [userId, action] of room.bursts.flatMap(({ log }) => log)) {
      seq += 1;
      const change = { roomId, actorId: userId, messageId: idAt(seq) };
      let answer: Promise<{ outcome: Outcome }>;
      if (typeof action === 'string') {
        firstTexts.set(action, idAt(seq));
        answer = appendMessage(db, { id: idAt(seq), roomId, senderId: userId, type: 'TEXT', content: action });
      } else if ('image' in action) {
        answer = sendPicture({ id: idAt(seq), roomId, senderId: userId }, action);
      } else if ('edit' in action) {
        answer = editMessage(db, firstTexts.get(action.edit) ?? '', userId, action.to);
      } else if ('delete' in action) {
        answer = deleteMessage(db, firstTexts.get(action.delete) ?? '', userId);
      } else if ('rename' in action) {
        answer = updateRoom(db, change, { name: action.rename, imageMessageId: randomUUID() });
      } else {
        answer = inviteMembers(db, change, { userIds: action.invite, maxMembers: 100 });
      }
      expect((await answer).outcome).toBe('OK');
    }
  }

  /** Its file has the id that the demo has given it, and has been looked at. */
  async function sendPicture(
    message: { readonly id: string; readonly roomId: string; readonly senderId: number },
    { image, name }: { readonly image: string; readonly name: string },
  ) {
    const { roomId, senderId } = message;
    const id = uuidv5(image, roomId);
    const announced = { name, contentType: 'image/jpeg', byteSize: 1, sha256: null };
    const limits = { lifetimeMs: 60_000, maxPending: 1 };
    await createUpload(db, { id, roomId, uploaderId: senderId, purpose: 'MESSAGE', announced, ...limits });
    const facts = { byteSize: 1, width: null, height: null, durationMs: null, reception: randomUUID() };
    const look = { status: 'READY', failure: null, kind: 'IMAGE', contentType: 'image/jpeg', ...facts } as const;
    await completeUpload(db, id, look, 60_000);
    return appendFiles(db, { ...message, content: '', attachmentIds: [id], retentionMs: null });
  }

  function create({ bookingId, type, ...room }: Demo['rooms'][number], messageId: string) {
    if (type !== 'BOOKING') return createRoom(db, { ...room, type, messageId });
    const members = room.memberIds.map((userId) => ({ userId, userName: null }));
    const booking = { bookingId: bookingId ?? 0, name: room.name, members, version: null, cancelled: false };
    const messageIds = [randomUUID(), messageId, randomUUID(), randomUUID()] as const;
    return syncBooking(db, booking, { roomId: room.id, messageIds });
  }

  const readRooms = async () => ({
    rooms: await query('SELECT id, name, type, booking_id, direct_key, seq, published_seq FROM chat_rooms ORDER BY id'),
    members: await query(
      'SELECT room_id, user_id, is_admin, joined_seq, left_at FROM chat_room_members ORDER BY room_id, user_id',
    ),
    messages: await query(
      `SELECT id, room_id, seq, changed_seq, sender_id, sender_name, type, content, system, encode(sent_digest, 'hex') AS digest, change,
              changed_at IS NOT NULL AS changed,
              edited_at IS NOT NULL AS edited, deleted_at IS NOT NULL AS deleted
       FROM chat_messages ORDER BY room_id, seq`,
    ),
  });

  async function dump(): Promise<unknown[]> {
    const tables = [];
    for (const table of ['chat_users', 'chat_rooms', 'chat_room_members', 'chat_messages', 'message_reads']) {
      tables.push(await query(`SELECT * FROM ${table} ORDER BY id`));
    }
    return tables;
  }

  // biome-ignore lint/suspicious/noExplicitAny: rows of any table
  async function query(sql: string): Promise<any[]> {
    return (await client.query(sql)).rows;
  }
});
