import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { connectDatabase, type Database } from '../../src/db/database.js';
import { markRead, type ReadMark } from '../../src/db/read-marks.js';
import { appendMessage, createRoom, inviteMembers, type LogWrite, leaveRoom } from '../../src/db/room-log.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { waitFor } from '../support/wait-for.js';

const admin = 4;
const members = Array.from({ length: 40 }, (_, place) => 100 + place);
const stranger = 9;

describe('read marks', () => {
  let database: TestDatabase;
  let db: Database;
  let other: Database;

  beforeAll(async () => {
    database = await createDatabase();
    db = connectDatabase({ url: database.url });
    other = connectDatabase({ url: database.url });
  });
  afterAll(async () => {
    await Promise.all([db.close(), other.close()]);
    await database.drop();
  });

  it('of one moment are written together, and each gets its own answer', async () => {
    const [roomId, elsewhere] = [await makeRoom(), await makeRoom()];
    const [first, second, foreign] = [await send(roomId), await send(roomId), await send(elsewhere)];
    await leaveRoom(db, { roomId, actorId: 101, messageId: randomUUID() }, randomUUID());
    const marks: readonly [Partial<ReadMark>, string, number | undefined][] = [
      [{ userId: 100, messageId: second }, 'OK', 3],
      [{ userId: 101, messageId: second }, 'NOT_FOUND', undefined],
      [{ userId: 102, messageId: foreign }, 'FOREIGN_MESSAGE', undefined],
      [{ userId: 103, messageId: randomUUID() }, 'FOREIGN_MESSAGE', undefined],
      [{ userId: stranger, messageId: second }, 'NOT_FOUND', undefined],
      [{ userId: 104, messageId: second, roomId: randomUUID() }, 'NOT_FOUND', undefined],
      [{ userId: 105, messageId: foreign, roomId: elsewhere }, 'OK', 2],
      [{ userId: 106, messageId: first }, 'OK', 2],
    ];
    const statements = vi.spyOn(pg.Client.prototype, 'query');

    // The first mark is a commit of its own; the others wait for it and share the second commit.
    const alone = markRead(db, { roomId, userId: admin, messageId: first });
    const answers = await Promise.all(marks.map(([mark]) => markRead(db, toMark(roomId, mark))));
    expect((await alone).outcome).toBe('OK');

    expect(callsIn(statements)).toEqual(['chat_move_mark', 'chat_mark_reads']);
    statements.mockRestore();
    expect(answers.map(({ outcome, member }) => [outcome, member?.lastReadSeq])).toEqual(
      marks.map(([, outcome, seq]) => [outcome, seq]),
    );
    expect(answers.map(({ room }) => room?.id)).toEqual(
      marks.map(([mark, outcome]) => (outcome === 'OK' ? (mark.roomId ?? roomId) : undefined)),
    );
    expect((await readRows(roomId)).map(({ user, seq }) => [user, seq])).toEqual([
      [admin, 2],
      [100, 3],
      [106, 2],
    ]);
  });

  it('answer with the room, the membership and, if asked, the unread count, in the statement that writes', async () => {
    const roomId = await makeRoom();
    const ids = [await send(roomId), await send(roomId), await send(roomId)];
    await markRead(db, { roomId, userId: 100, messageId: ids[0] as string });
    const statements = vi.spyOn(pg.Client.prototype, 'query');

    const mark = { roomId, userId: 100, messageId: ids[1] as string, isCounted: true };
    const [counted, repeated] = [await markRead(db, mark), await markRead(db, mark)];
    const uncounted = await markRead(db, { ...mark, isCounted: false });

    expect(statements).toHaveBeenCalledTimes(3);
    statements.mockRestore();
    expect([counted, repeated, uncounted].map(({ outcome }) => outcome)).toEqual(['OK', 'UNCHANGED', 'UNCHANGED']);
    expect(counted.room).toMatchObject({ id: roomId, seq: 4 });
    expect(counted.room?.preloaded).toMatchObject({ unreadCount: 1, viewerMember: { userId: 100, lastReadSeq: 3 } });
    expect(repeated.room).toEqual(counted.room);
    expect(uncounted.room?.preloaded?.unreadCount).toBeUndefined();
  });

  it('write and lock nothing if they are there already', async () => {
    const roomId = await makeRoom();
    const [first, second] = [await send(roomId), await send(roomId)];
    await markRead(db, { roomId, userId: 100, messageId: second });
    const row = () =>
      database.query(
        `SELECT ctid::text, xmin::text, xmax::text FROM chat_room_members WHERE room_id = $1 AND user_id = 100`,
        [roomId],
      );
    const before = await row();

    const marks = [first, second, first].map((messageId) => markRead(db, { roomId, userId: 100, messageId }));

    expect((await Promise.all(marks)).map(({ outcome }) => outcome)).toEqual(Array(3).fill('UNCHANGED'));
    expect(await row()).toEqual(before);
    expect(await readRows(roomId)).toHaveLength(1);
  });

  it('of one member keep their order, and have a row for each time that the mark has moved', async () => {
    const roomId = await makeRoom();
    const ids = [await send(roomId), await send(roomId), await send(roomId), await send(roomId)] as const;
    const order = [0, 2, 1, 3] as const;

    const answers = await Promise.all(order.map((at) => markRead(db, { roomId, userId: 100, messageId: ids[at] })));

    expect(answers.map(({ outcome }) => outcome)).toEqual(['OK', 'OK', 'UNCHANGED', 'OK']);
    expect((await readRows(roomId)).map(({ seq }) => seq)).toEqual([2, 4, 5]);
  });

  it('confirm a member whom nobody vouched for', async () => {
    const roomId = await makeRoom();
    const invited = 700;
    await inviteMembers(db, change(roomId), { userIds: [invited], maxMembers: 500, isVouched: false });
    const messageId = await send(roomId);
    const isConfirmed = async () => {
      const [row] = await database.query<{ is_confirmed: boolean }>(
        'SELECT is_confirmed FROM chat_room_members WHERE room_id = $1 AND user_id = $2',
        [roomId, invited],
      );
      return row?.is_confirmed;
    };
    expect(await isConfirmed()).toBe(false);

    await markRead(db, { roomId, userId: invited, messageId });

    expect(await isConfirmed()).toBe(true);
  });

  it('of others do not wait for a member whose row somebody else holds', async () => {
    const roomId = await makeRoom();
    const [first, second, third] = [await send(roomId), await send(roomId), await send(roomId)];
    const holder = new pg.Client({ connectionString: database.url });
    await holder.connect();
    onTestFinished(() => holder.end());
    await holder.query('BEGIN');
    await holder.query('SELECT FROM chat_room_members WHERE room_id = $1 AND user_id = 100 FOR UPDATE', [roomId]);
    let heldUp = false;
    const onHeldUp = () => {
      heldUp = true;
    };

    const held = [first, second].map((messageId) => markRead(db, { roomId, userId: 100, messageId, onHeldUp }));
    const others = await Promise.all(
      members.slice(1).map((userId) => markRead(db, { roomId, userId, messageId: third, onHeldUp })),
    );
    expect(others.map(({ outcome }) => outcome)).toEqual(others.map(() => 'OK'));
    // The first attempt waits shortly in PostgreSQL as well, and keeps its turn.
    const waits = async () => heldUp && (await waiting()) === 1;
    await waitFor(waits, { what: 'the held mark to wait, without its turn' });

    await holder.query('ROLLBACK');
    expect((await Promise.all(held)).map(({ outcome }) => outcome)).toEqual(['OK', 'OK']);
    expect((await readRows(roomId)).filter(({ user }) => user === 100).map(({ seq }) => seq)).toEqual([2, 3]);
  });

  it('of one member that stay locked are UNAVAILABLE, and the next ones are written again', async () => {
    const roomId = await makeRoom();
    const messageId = await send(roomId);
    const holder = new pg.Client({ connectionString: database.url });
    await holder.connect();
    onTestFinished(() => holder.end());
    await holder.query('BEGIN');
    await holder.query('SELECT FROM chat_room_members WHERE room_id = $1 AND user_id = 100 FOR UPDATE', [roomId]);

    await expect(markRead(db, { roomId, userId: 100, messageId })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await holder.query('ROLLBACK');

    expect((await markRead(db, { roomId, userId: 100, messageId })).outcome).toBe('OK');
  });

  it('of the same members over two instances cause no deadlock, beside sends, joins and leavings', async () => {
    const roomIds = [await makeRoom(), await makeRoom(), await makeRoom()];
    const [{ deadlocks: before } = { deadlocks: -1 }] = await countDeadlocks();
    for (let round = 0; round < 8; round += 1) {
      const sent = await Promise.all(roomIds.map(async (roomId) => ({ roomId, messageId: await send(roomId) })));
      const marks = members.flatMap((userId) => sent.map((place) => ({ ...place, userId })));
      const writes: Promise<{ outcome: string }>[] = [
        ...marks.map((mark) => markRead(db, mark)),
        ...marks.toReversed().map((mark) => markRead(other, mark)),
        ...roomIds.map((roomId) => appendMessage(other, text(roomId, members[round]))),
        ...roomIds.map((roomId) => inTurn(roomId, () => invite(roomId, [800 + round, 900 + round]))),
        ...roomIds.map((roomId) => inTurn(roomId, () => leaveRoom(db, change(roomId, 139 - round), randomUUID()))),
      ];
      const outcomes = (await Promise.all(writes)).map(({ outcome }) => outcome);
      const allowed = ['OK', 'UNCHANGED', 'NOT_FOUND'];
      expect(outcomes.filter((outcome) => !allowed.includes(outcome))).toEqual([]);
      const moved = outcomes.slice(0, 2 * marks.length).filter((outcome) => outcome === 'OK');
      const rows = await Promise.all(sent.map(({ roomId, messageId }) => readRows(roomId, messageId)));
      expect(moved, 'a mark moves once').toHaveLength(rows.flat().length);
      expect(moved.length).toBeGreaterThanOrEqual(3 * (members.length - 8));
    }
    expect(await countDeadlocks()).toEqual([{ deadlocks: before }]);
  });

  async function makeRoom(): Promise<string> {
    const { roomId } = await createRoom(db, {
      id: randomUUID(),
      type: 'GROUP',
      name: null,
      directKey: null,
      creatorId: admin,
      memberIds: [admin, ...members],
      messageId: randomUUID(),
    });
    return roomId;
  }

  const text = (roomId: string, senderId = admin) =>
    ({ id: randomUUID(), roomId, senderId, type: 'TEXT', content: '안녕' }) as const;

  async function send(roomId: string): Promise<string> {
    const message = text(roomId);
    await appendMessage(db, message);
    return message.id;
  }

  const change = (roomId: string, actorId = admin) => ({ roomId, actorId, messageId: randomUUID() });

  const invite = (roomId: string, userIds: readonly number[]) =>
    inviteMembers(db, change(roomId), { userIds, maxMembers: 500 });

  const inTurn = (roomId: string, write: () => Promise<LogWrite>): Promise<LogWrite> =>
    db.changes.change(`room ${roomId}`, write);

  const toMark = (roomId: string, mark: Partial<ReadMark>): ReadMark => ({
    roomId,
    userId: admin,
    messageId: randomUUID(),
    ...mark,
  });

  /** The rows of message_reads, in the order of their writing. */
  const readRows = (roomId: string, messageId: string | null = null) =>
    database.query<{ user: number; seq: number }>(
      `SELECT user_id AS user, seq FROM message_reads WHERE room_id = $1 AND ($2::uuid IS NULL OR message_id = $2)
       ORDER BY read_at, user_id, seq`,
      [roomId, messageId],
    );

  const countDeadlocks = () =>
    database.query<{ deadlocks: number }>(
      'SELECT deadlocks::int FROM pg_stat_database WHERE datname = current_database()',
    );

  async function waiting(): Promise<number> {
    const [row] = await database.query<{ count: number }>(
      `SELECT count(*)::int FROM pg_stat_activity
       WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%chat_move_mark%'`,
    );
    return row?.count ?? 0;
  }
});

/** The functions of marks that the statements call. */
const callsIn = (statements: { readonly mock: { readonly calls: readonly unknown[][] } }): string[] =>
  statements.mock.calls.flatMap(([statement]) =>
    Array.from(/chat_(move_mark|mark_reads)/.exec((statement as { text?: string }).text ?? '')?.slice(0, 1) ?? []),
  );
