import type { InboxRoom, InboxStore, RoomPosition } from '../domain/inbox.js';
import type { Database } from './database.js';
import { presentEpoch } from './epochs.js';
import { isPresent } from './membership.js';
import { maxNamesInTitle } from './room-parts.js';

export const createInboxStore = (db: Database): InboxStore => ({
  readInboxes: (userIds) =>
    db.replay(
      (connection) => connection.query<InboxRoom>`
        SELECT m.user_id AS "userId", m.room_id AS "roomId", r.seq, m.last_read_seq AS "lastReadSeq"
        FROM chat_room_members m JOIN chat_rooms r ON r.id = m.room_id
        WHERE m.user_id = ANY(${userIds}::int[]) AND ${isPresent('m')}`,
    ),
  readRecentMemberships: (userIds, ageMs) =>
    db.replay(
      (connection) => connection.query<InboxRoom & { isMember: boolean }>`
        SELECT m.user_id AS "userId", m.room_id AS "roomId", r.seq, m.last_read_seq AS "lastReadSeq",
          ${isPresent('m')} AS "isMember"
        FROM chat_room_members m JOIN chat_rooms r ON r.id = m.room_id,
          (SELECT clock_timestamp() - ${Math.round(ageMs)}::int * interval '1 ms' AS time) since
        WHERE m.user_id = ANY(${userIds}::int[]) AND greatest(m.joined_at, m.left_at, m.last_read_at) > since.time`,
    ),
  readRoomsThatName: async (userIds) => {
    const rows = await db.replay(
      (connection) => connection.query<{ id: string }>`
        SELECT DISTINCT r.id FROM chat_room_members m JOIN chat_rooms r ON r.id = m.room_id
        WHERE m.user_id = ANY(${userIds}::int[]) AND ${isPresent('m')} AND (
          m.user_id = (
            SELECT c.sender_id FROM chat_messages c
            WHERE c.room_id = m.room_id AND c.deleted_at IS NULL ORDER BY c.seq DESC LIMIT 1)
          OR r.name IS NULL AND (
            SELECT count(*) FROM (
              SELECT FROM chat_room_members o
              WHERE o.room_id = m.room_id AND ${isPresent('o')}
                AND (o.joined_seq, o.user_id) < (m.joined_seq, m.user_id)
              LIMIT ${maxNamesInTitle + 1}::int
            ) before) <= ${maxNamesInTitle}::int)`,
    );
    return rows.map(({ id }) => id);
  },
  readMovedRooms: (rooms, epoch) =>
    db.replay(
      (connection) => connection.query<RoomPosition>`
        SELECT r.id AS "roomId", r.seq
        FROM unnest(${rooms.map(({ roomId }) => roomId)}::uuid[], ${rooms.map(({ seq }) => seq)}::int[]) AS k(id, seq)
        JOIN chat_rooms r ON r.id = k.id
        WHERE r.seq <> k.seq OR (${presentEpoch} <> ${epoch}::uuid AND k.seq > chat_common_seq(r.id, ${epoch}::uuid))`,
    ),
});
