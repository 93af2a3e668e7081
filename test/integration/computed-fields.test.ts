import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { connectDatabase, type Database } from '../../src/db/database.js';
import { appendMessage, createRoom } from '../../src/db/room-log.js';
import { createRowCodec, type JsonOf, type RowOf } from '../../src/db/row.js';
import { computed, listOf, objectOf, position, text, time, userId, uuid } from '../../src/domain/shape.js';
import { createDatabase, type TestDatabase } from '../support/database.js';

/** A message with votes from a separate table. */
const votedShape = {
  id: uuid,
  roomId: uuid,
  changedSeq: position,
  content: text,
  createdAt: time,
  votes: computed(listOf(objectOf({ choice: text, userIds: listOf(userId, 20) }), 10)),
};
const votedRow = createRowCodec(votedShape, {
  known: ['roomId'],
  computed: { votes: (message) => `scratch_votes_of(${message}.id)` },
});
type VotedRow = RowOf<typeof votedShape>;

const createTable = 'CREATE TABLE scratch_votes (message_id uuid, choice text, user_id integer)';
const createReader = (volatility: string) => `
  CREATE OR REPLACE FUNCTION scratch_votes_of(p_message uuid) RETURNS json LANGUAGE sql ${volatility} AS $$
    SELECT coalesce(json_agg(json_build_object('choice', c.choice, 'userIds', c.user_ids) ORDER BY c.choice), '[]')
    FROM (
      SELECT v.choice, array_agg(v.user_id ORDER BY v.user_id) AS user_ids
      FROM scratch_votes v WHERE v.message_id = p_message GROUP BY v.choice
    ) c
  $$`;
/** Like the functions of the room log: locks the room, writes to both tables and returns the message. */
const createWriter = `
  CREATE FUNCTION scratch_vote(p_id uuid, p_user integer, p_choice text) RETURNS TABLE (outcome text, entry chat_messages)
  LANGUAGE plpgsql AS $$
  BEGIN
    PERFORM FROM chat_rooms r WHERE r.id = (SELECT m.room_id FROM chat_messages m WHERE m.id = p_id) FOR NO KEY UPDATE;
    INSERT INTO scratch_votes VALUES (p_id, p_choice, p_user);
    UPDATE chat_rooms r SET seq = r.seq + 1 FROM chat_messages m WHERE m.id = p_id AND r.id = m.room_id;
    RETURN QUERY
      UPDATE chat_messages m SET changed_seq = r.seq, change = 'EDITED', changed_at = clock_timestamp()
      FROM chat_rooms r WHERE m.id = p_id AND r.id = m.room_id RETURNING 'OK', m;
  END;
  $$`;

let database: TestDatabase;
let db: Database;
let roomId: string;
let messageId: string;
beforeAll(async () => {
  database = await createDatabase();
  db = connectDatabase({ url: database.url });
  for (const sql of [createTable, createReader('VOLATILE'), createWriter]) await database.query(sql);
  const room = { id: randomUUID(), type: 'GROUP' as const, name: null, directKey: null };
  ({ roomId } = await createRoom(db, { ...room, creatorId: 4, memberIds: [4, 5], messageId: randomUUID() }));
  messageId = randomUUID();
  await appendMessage(db, { id: messageId, roomId, senderId: 4, type: 'TEXT', content: '언제?' });
});
afterAll(async () => {
  await db.close();
  await database.drop();
});

const vote = async (user: number, choice: string) => {
  const [row] = await db.writes.query<VotedRow>`
    SELECT ${votedRow.select('(w.entry)')} FROM scratch_vote(${messageId}::uuid, ${user}::int, ${choice}::text) AS w`;
  return votedRow.decode(row as VotedRow);
};

it('has the rows that a function of the log has written to another table in the same statement', async () => {
  expect(await vote(4, '토요일')).toMatchObject({
    id: messageId,
    changedSeq: 3,
    votes: [{ choice: '토요일', userIds: [4] }],
  });
  expect(await vote(5, '일요일')).toMatchObject({
    changedSeq: 4,
    votes: [
      { choice: '일요일', userIds: [5] },
      { choice: '토요일', userIds: [4] },
    ],
  });
});

it('is the same in the row of a replay, in the value of a page and in the result of the function', async () => {
  const written = await vote(5, '토요일');

  const [replayed] = await db.reads.query<VotedRow>`
    SELECT ${votedRow.select('p')} FROM (
      SELECT m.*, m.changed_seq AS position FROM chat_messages m WHERE m.room_id = ${roomId}::uuid AND m.changed_seq <> m.seq
    ) p ORDER BY p.position`;
  const [page] = await db.reads.query<{ values: JsonOf<typeof votedShape>[] }>`
    SELECT json_agg(json_build_array(${votedRow.values('c')})) AS values
    FROM (SELECT m.* FROM chat_messages m WHERE m.id = ${messageId}::uuid) c`;

  expect(written.votes).toEqual([
    { choice: '일요일', userIds: [5] },
    { choice: '토요일', userIds: [4, 5] },
  ]);
  expect(votedRow.decode(replayed as VotedRow)).toEqual(written);
  expect(page?.values.map((json) => votedRow.decodeJson(json, { roomId }))).toEqual([written]);
});

it('misses them if the function that reads them is not VOLATILE', async () => {
  const before = (await vote(6, '금요일')).votes;
  await database.query(createReader('STABLE'));

  expect((await vote(7, '금요일')).votes).toEqual(before);
});
