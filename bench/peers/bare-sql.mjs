import { createServer } from 'node:http';
import pg from 'pg';
import { tellReady, viewerId } from './message.mjs';

/** A bare handler: runs one prepared statement and returns its rows as JSON, without tokens or GraphQL. */
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 20 });

const roomList = {
  name: 'rooms',
  text: `SELECT r.id, r.type, r.name, r.seq, r.updated_at AS "updatedAt",
      (SELECT count(*)::int FROM chat_messages c
       WHERE c.room_id = v.room_id AND c.seq > greatest(v.last_read_seq, v.joined_seq)
         AND c.sender_id <> v.user_id AND c.type <> 'SYSTEM' AND c.deleted_at IS NULL) AS "unreadCount",
      l.id AS "lastId", l.seq AS "lastSeq", l.type AS "lastType", l.content, l.sender_name AS "senderName",
      l.created_at AS "createdAt", p.*
    FROM chat_room_members v JOIN chat_rooms r ON r.id = v.room_id
    LEFT JOIN LATERAL (
      SELECT * FROM chat_messages c WHERE c.room_id = r.id AND c.deleted_at IS NULL ORDER BY c.seq DESC LIMIT 1
    ) l ON true
    CROSS JOIN LATERAL (
      SELECT array_agg(m.is_admin ORDER BY m.joined_seq) AS admins, array_agg(m.last_read_seq ORDER BY m.joined_seq) AS marks,
        array_agg(u.id ORDER BY m.joined_seq) AS ids, array_agg(u.name ORDER BY m.joined_seq) AS names
      FROM chat_room_members m JOIN chat_users u ON u.id = m.user_id WHERE m.room_id = r.id AND m.left_at IS NULL
    ) p
    WHERE v.user_id = $1 AND v.left_at IS NULL ORDER BY r.updated_at DESC LIMIT $2`,
};

const page = {
  name: 'page',
  text: `WITH marks AS MATERIALIZED (
      SELECT array_agg(m.user_id) AS ids, array_agg(m.last_read_seq) AS seqs,
        array_agg(m.last_read_seq ORDER BY m.last_read_seq) AS ascending
      FROM chat_room_members m WHERE m.room_id = $1 AND m.left_at IS NULL
    )
    SELECT c.id, c.seq, c.type, c.content, c.sender_name AS "senderName", c.created_at AS "createdAt",
      c.sender_id AS "senderId", u.name,
      cardinality(k.ascending) - width_bucket(c.seq - 1, k.ascending)
        - coalesce((k.seqs[array_position(k.ids, c.sender_id)] >= c.seq)::int, 0) AS "readCount"
    FROM chat_messages c JOIN chat_users u ON u.id = c.sender_id CROSS JOIN marks k
    WHERE c.room_id = $1 AND chat_is_member($1, $2) ORDER BY c.seq DESC LIMIT $3`,
};

const toRoom = ({ lastId, lastSeq, lastType, content, senderName, createdAt, ids, names, admins, marks, ...room }) => ({
  ...room,
  lastMessage: { id: lastId, seq: lastSeq, type: lastType, content, senderName, createdAt },
  members: ids.map((id, index) => ({
    isAdmin: admins[index],
    lastReadSeq: marks[index],
    user: { id, name: names[index] },
  })),
});

async function answer({ rooms, roomId, last }) {
  if (rooms !== undefined) {
    const { rows } = await pool.query({ ...roomList, values: [viewerId, rooms] });
    return { rooms: rows.map(toRoom) };
  }
  const { rows } = await pool.query({ ...page, values: [roomId, viewerId, last] });
  return { messages: rows.map(({ senderId, name, ...message }) => ({ ...message, sender: { id: senderId, name } })) };
}

const server = createServer(async (request, response) => {
  let body = '';
  for await (const part of request) body += part;
  const json = Buffer.from(JSON.stringify(await answer(JSON.parse(body))));
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': json.length }).end(json);
});
server.listen(0, '127.0.0.1', () => tellReady(server.address().port));
