import { signToken } from './fairway.mjs';
import { tokenSecret } from './server-process.mjs';

/** @typedef {import('./stack.mjs').Database} Database */

const text = '내일 아침 일곱 시에 정류장에서 만나요. 비가 오면 여덟 시로 미루고, 늦으시는 분은 미리 알려 주세요.';
const nameOf = (/** @type {number} */ userId) => `회원 ${userId}`;

/** A token as the host platform signs it. @param {number} userId */
export const tokenOf = (userId) => signToken(tokenSecret, { userId, name: nameOf(userId) });

/** @param {Database} database @param {number[]} userIds */
export async function seedUsers(database, userIds) {
  await database.query(
    `INSERT INTO chat_users (id, name, named_at) SELECT u, '회원 ' || u, now() FROM unnest($1::int[]) AS u
     ON CONFLICT DO NOTHING`,
    [userIds],
  );
}

/**
 * Creates rooms with the same members, each with `messages` messages that the members sent in turn. The first member has
 * read all but the last ten, each other member ten fewer than the one before.
 * @param {Database} database
 * @param {{ rooms?: number, memberIds: number[], messages?: number }} options
 * @returns {Promise<string[]>} the ids
 */
export async function seedRooms(database, { rooms = 1, memberIds, messages = 0 }) {
  const made = await database.query(
    `INSERT INTO chat_rooms (id, name, type, seq, published_seq, updated_at)
     SELECT gen_random_uuid(), '모임 ' || n, 'GROUP', $2, $2, now() - n * interval '1 minute'
     FROM generate_series(1, $1::int) AS n RETURNING id`,
    [rooms, messages],
  );
  const roomIds = made.map(({ id }) => id);
  await database.query(
    `INSERT INTO chat_room_members (room_id, user_id, is_admin, joined_seq, last_read_seq, last_read_at)
     SELECT r, m.id, m.place = 1, 0, greatest($3::int - 10 * m.place, 0), now()
     FROM unnest($1::uuid[]) AS r, unnest($2::int[]) WITH ORDINALITY AS m(id, place)`,
    [roomIds, memberIds, messages],
  );
  if (messages > 0) {
    await database.query(
      `INSERT INTO chat_messages (id, room_id, seq, changed_seq, sender_id, sender_name, content, created_at)
       SELECT gen_random_uuid(), r, n, n, s.id, '회원 ' || s.id, n || $4, now() - ($3::int - n) * interval '1 second'
       FROM unnest($1::uuid[]) AS r, generate_series(1, $3::int) AS n,
         LATERAL (SELECT ($2::int[])[1 + n % cardinality($2::int[])] AS id) AS s`,
      [roomIds, memberIds, messages, ` ${text}`],
    );
  }
  return roomIds;
}

const clubSize = 5;
const roomsPerClub = 20;
const roomsAtOnce = 10_000;

/**
 * Creates rooms of clubs: five people who share 20 rooms and no other. A room's members have sent its messages in turn, and have
 * read half of them.
 * @param {Database} database
 * @param {{ rooms: number, messages: number }} options `messages` of each room
 * @returns {Promise<number[][]>} the members of each club
 */
export async function seedClubs(database, { rooms, messages }) {
  const clubs = numbers(0, Math.ceil(rooms / roomsPerClub)).map((club) => numbers(1_000 + club * clubSize, clubSize));
  await seedUsers(database, clubs.flat());
  const club = `${clubs[0]?.[0] ?? 0} + (n - 1) / ${roomsPerClub} * ${clubSize}`;
  for (let first = 1; first <= rooms; first += roomsAtOnce) {
    const range = [first, Math.min(first + roomsAtOnce - 1, rooms)];
    await database.query(
      `INSERT INTO chat_rooms (id, name, type, seq, published_seq, updated_at)
       SELECT md5('room ' || n)::uuid, '모임 ' || n, 'GROUP', $3, $3, now() - n * interval '1 minute'
       FROM generate_series($1::int, $2::int) AS n`,
      [...range, messages],
    );
    await database.query(
      `INSERT INTO chat_room_members (room_id, user_id, is_admin, joined_seq, last_read_seq, last_read_at)
       SELECT md5('room ' || n)::uuid, ${club} + m, m = 0, 0, $3::int / 2, now()
       FROM generate_series($1::int, $2::int) AS n, generate_series(0, ${clubSize - 1}) AS m`,
      [...range, messages],
    );
    await database.query(
      `INSERT INTO chat_messages (id, room_id, seq, changed_seq, sender_id, sender_name, content, created_at)
       SELECT gen_random_uuid(), md5('room ' || n)::uuid, m, m, s.id, '회원 ' || s.id, m || $4,
         now() - ($3::int - m) * interval '1 minute'
       FROM generate_series($1::int, $2::int) AS n, generate_series(1, $3::int) AS m,
         LATERAL (SELECT ${club} + m % ${clubSize} AS id) AS s`,
      [...range, messages, ` ${text}`],
    );
  }
  return clubs;
}

/** Does what autovacuum would do later. @param {Database} database */
export async function settle(database) {
  await database.query('VACUUM ANALYZE');
  await database.query('CHECKPOINT');
}

/** @param {number} first @param {number} count */
export const numbers = (first, count) => Array.from({ length: count }, (_, index) => first + index);
