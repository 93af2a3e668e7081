import type { TestDatabase } from './database.js';

/** The members are this user and the 498 after it, and the given user. */
const firstMember = 100_001;

/**
 * Creates GROUP rooms of 500 members each, named "user 100001" and so on, including the given user. All members have read
 * the first entry, which names all of them. Resolves with the ids of the rooms.
 */
export async function makeFullRooms(database: TestDatabase, userId: number, count: number): Promise<string[]> {
  const members = `SELECT ${userId} AS id UNION ALL SELECT n FROM generate_series(${firstMember}, ${firstMember + 498}) n`;
  await database.query(
    `INSERT INTO chat_users (id, name) SELECT id, 'user ' || id FROM (${members}) m ON CONFLICT (id) DO NOTHING`,
  );
  const rooms = await database.query<{ id: string }>(`
    INSERT INTO chat_rooms (id, type, name, seq, published_seq)
    SELECT gen_random_uuid(), 'GROUP', 'full ' || n, 1, 1 FROM generate_series(1, ${count}) n RETURNING id`);
  const ids = rooms.map(({ id }) => id);
  await database.query(
    `INSERT INTO chat_messages (id, room_id, seq, changed_seq, sender_id, sender_name, type, content, system)
     SELECT gen_random_uuid(), r, 1, 1, ${userId}, 'somebody', 'SYSTEM', 'made',
       json_build_object('code', 'ROOM_CREATED', 'userIds', (SELECT json_agg(id) FROM (${members}) m))
     FROM unnest($1::uuid[]) r`,
    [ids],
  );
  await database.query(
    `INSERT INTO chat_room_members (room_id, user_id, joined_seq, last_read_seq, last_read_at)
     SELECT r, m.id, 1, 1, now() FROM unnest($1::uuid[]) r, (${members}) m`,
    [ids],
  );
  await database.query('ANALYZE');
  return ids;
}
