import type { TypingStore } from '../domain/typing.js';
import type { Database } from './database.js';

export const createTypingStore = ({ reads }: Database): TypingStore => ({
  keepTyping: async (roomId, typists) => {
    const rows = await reads.query<{ id: number }>`
      SELECT m.user_id AS id
      FROM unnest(${typists.map(({ userId }) => userId)}::int[], ${typists.map(({ ageMs }) => Math.round(ageMs))}::int[])
        AS a(user_id, age_ms) JOIN chat_room_members m ON m.user_id = a.user_id
      WHERE m.room_id = ${roomId}::uuid AND m.left_at IS NULL AND NOT EXISTS (
        SELECT FROM chat_messages c
        WHERE c.room_id = ${roomId}::uuid AND c.sender_id = a.user_id AND c.type <> 'SYSTEM'
          AND c.created_at > clock_timestamp() - a.age_ms * interval '1 ms')`;
    const kept = new Set(rows.map(({ id }) => id));
    return typists.filter(({ userId }) => kept.has(userId));
  },
});
