/**
 * Writes the rooms of the day with their history, the same for both systems: the members wrote in turn, and everybody has
 * read all but the last three messages.
 * @typedef {import('./day-profile.mjs').Day} Day
 * @typedef {import('./stack.mjs').Database} Database
 */

const text =
  '지난주에 이야기한 모임은 그대로 하기로 했어요. 장소는 지난번과 같고, 늦으시는 분은 미리 알려 주시면 고맙겠습니다.';
const unread = 3;

/** @param {Day} day */
const columns = ({ rooms, profile }) => ({
  roomIds: rooms.map(({ id }) => id),
  types: rooms.map(({ isDirect }) => (isDirect ? 'DIRECT' : 'GROUP')),
  names: rooms.map(({ isDirect }, index) => (isDirect ? null : `모임 ${index + 1}`)),
  keys: rooms.map(({ isDirect, memberIds }) => (isDirect ? memberIds.join(':') : null)),
  members: rooms.flatMap(({ id, memberIds }) => memberIds.map((userId, place) => ({ room: id, user: userId, place }))),
  authors: rooms.flatMap(({ id, memberIds }) =>
    Array.from({ length: profile.history }, (_, index) => ({
      room: id,
      number: index + 1,
      user: memberIds[index % memberIds.length],
    })),
  ),
});

/** @param {Database} database @param {Day} day */
export async function seedFairwayDay(database, day) {
  const { roomIds, types, names, keys, members, authors } = columns(day);
  const { history } = day.profile;
  await database.query(
    `INSERT INTO chat_users (id, name, named_at) SELECT u, '회원 ' || u, now() FROM unnest($1::int[]) AS u`,
    [day.userIds],
  );
  await database.query(
    `INSERT INTO chat_rooms (id, type, name, direct_key, seq, published_seq, updated_at)
     SELECT r.*, $5, $5, now() - interval '1 hour'
     FROM unnest($1::uuid[], $2::text[]::chat_room_type[], $3::text[], $4::text[]) AS r`,
    [roomIds, types, names, keys, history],
  );
  await database.query(
    `INSERT INTO chat_room_members (room_id, user_id, is_admin, joined_at, joined_seq, last_read_seq, last_read_at)
     SELECT room, "user", place = 0, now() - interval '1 day' + place * interval '1 second', 0, $2, now()
     FROM json_to_recordset($1) AS m(room uuid, "user" int, place int)`,
    [JSON.stringify(members), history - unread],
  );
  await database.query(
    `INSERT INTO chat_messages (id, room_id, seq, changed_seq, sender_id, sender_name, content, created_at)
     SELECT gen_random_uuid(), room, number, number, "user", '회원 ' || "user", '이전 ' || number || $2,
       now() - interval '1 hour' - ($3 - number) * interval '1 minute'
     FROM json_to_recordset($1) AS m(room uuid, number int, "user" int)`,
    [JSON.stringify(authors), ` ${text}`, history],
  );
}

/** @param {Database} database @param {Day} day */
export async function seedSeedsDay(database, day) {
  const { roomIds, types, names, members, authors } = columns(day);
  const { history } = day.profile;
  await database.query(
    `INSERT INTO chat_rooms (id, type, name, updated_at) SELECT r.*, now() - interval '1 hour'
     FROM unnest($1::uuid[], $2::text[]::"RoomType"[], $3::text[]) AS r`,
    [roomIds, types, names],
  );
  await database.query(
    `INSERT INTO chat_messages (id, room_id, sender_id, sender_name, content, created_at)
     SELECT gen_random_uuid(), room, "user", '회원 ' || "user", '이전 ' || number || $2,
       now() - interval '1 hour' - ($3 - number) * interval '1 minute'
     FROM json_to_recordset($1) AS m(room uuid, number int, "user" int)`,
    [JSON.stringify(authors), ` ${text}`, history],
  );
  await database.query(
    `INSERT INTO chat_room_members (id, room_id, user_id, user_name, is_admin, joined_at, last_read_at)
     SELECT gen_random_uuid(), room, "user", '회원 ' || "user", place = 0,
       now() - interval '1 day' + place * interval '1 second',
       (SELECT created_at FROM chat_messages c WHERE c.room_id = room ORDER BY created_at DESC OFFSET $2 LIMIT 1)
     FROM json_to_recordset($1) AS m(room uuid, "user" int, place int)`,
    [JSON.stringify(members), unread],
  );
}

/**
 * What a list of a user's rooms has to say of the history.
 * @param {Day} day
 * @param {number} userId
 * @returns {Record<string, { lastMessage: string, unreadCount: number, memberIds: number[] }>} by room
 */
export function expectedList({ rooms, profile: { history } }, userId) {
  const own = rooms.filter(({ memberIds }) => memberIds.includes(userId));
  return Object.fromEntries(
    own.map(({ id, memberIds }) => {
      const newest = Array.from({ length: unread }, (_, back) => memberIds[(history - 1 - back) % memberIds.length]);
      const unreadCount = newest.filter((author) => author !== userId).length;
      return [id, { lastMessage: `이전 ${history} ${text}`, unreadCount, memberIds: memberIds.slice(0, 5) }];
    }),
  );
}
