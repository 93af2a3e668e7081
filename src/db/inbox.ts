import type { InboxRoom, InboxStore } from '../domain/inbox.js';
import type { Database } from './database.js';

export const createInboxStore = (db: Database): InboxStore => ({
  readInboxes: (userIds) =>
    db.replay(
      (prisma) => prisma.$queryRaw<InboxRoom[]>`
        SELECT m.user_id AS "userId", m.room_id AS "roomId", r.seq, m.last_read_seq AS "lastReadSeq"
        FROM chat_room_members m JOIN chat_rooms r ON r.id = m.room_id
        WHERE m.user_id = ANY(${userIds}::int[]) AND m.left_at IS NULL`,
    ),
});
