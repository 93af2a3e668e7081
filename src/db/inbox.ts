import type { InboxRoom, InboxStore, RoomPosition } from '../domain/inbox.js';
import type { Database } from './database.js';

export const createInboxStore = (db: Database): InboxStore => ({
  readInboxes: (userIds) =>
    db.replay(
      (connection) => connection.query<InboxRoom>`
        SELECT m.user_id AS "userId", m.room_id AS "roomId", r.seq, m.last_read_seq AS "lastReadSeq"
        FROM chat_room_members m JOIN chat_rooms r ON r.id = m.room_id
        WHERE m.user_id = ANY(${userIds}::int[]) AND m.left_at IS NULL`,
    ),
  readRecentMemberships: (userIds, ageMs) =>
    db.replay(
      (connection) => connection.query<InboxRoom & { isMember: boolean }>`
        SELECT m.user_id AS "userId", m.room_id AS "roomId", r.seq, m.last_read_seq AS "lastReadSeq",
          m.left_at IS NULL AS "isMember"
        FROM chat_room_members m JOIN chat_rooms r ON r.id = m.room_id,
          (SELECT clock_timestamp() - ${Math.round(ageMs)}::int * interval '1 ms' AS time) since
        WHERE m.user_id = ANY(${userIds}::int[]) AND greatest(m.joined_at, m.left_at, m.last_read_at) > since.time`,
    ),
  readMovedRooms: (rooms) =>
    db.replay(
      (connection) => connection.query<RoomPosition>`
        SELECT r.id AS "roomId", r.seq
        FROM unnest(${rooms.map(({ roomId }) => roomId)}::uuid[], ${rooms.map(({ seq }) => seq)}::int[]) AS k(id, seq)
        JOIN chat_rooms r ON r.id = k.id WHERE r.seq <> k.seq`,
    ),
});
