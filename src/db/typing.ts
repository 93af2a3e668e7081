import { type TypingStore, type Typist, typingExpiresInMs } from '../domain/typing.js';
import type { Database } from './database.js';
import { isPresent } from './membership.js';

/** An older message cannot end a typing signal that has not expired. */
const recentMs = typingExpiresInMs + 1_000;
/** A message dated further ahead was sent before the clock was set back, at an unknown time. */
const maxAheadMs = 1_000;
/** How long a signal may take to reach the stream, which dates it. */
const signalDelayMs = 250;

/** A user who may write in the room, and their newest recent message. */
interface Row {
  readonly id: number;
  readonly seq: number | null;
  readonly sent_ms_ago: number | null;
}

export const createTypingStore = ({ reads }: Database): TypingStore => ({
  keepTyping: async (roomId, typists) => {
    const askedAt = performance.now();
    const rows = await reads.query<Row>`
      SELECT m.user_id AS id, s.seq, extract(epoch FROM now.time - s.created_at)::float8 * 1000 AS sent_ms_ago
      FROM (SELECT clock_timestamp() AS time) now
      JOIN chat_room_members m ON m.room_id = ${roomId}::uuid AND m.user_id = ANY(${typists.map(({ userId }) => userId)}::int[])
      JOIN chat_rooms r ON r.id = m.room_id
      LEFT JOIN LATERAL (
        SELECT c.seq, c.created_at FROM chat_messages c
        WHERE c.room_id = m.room_id AND c.sender_id = m.user_id AND c.type <> 'SYSTEM'
          AND c.created_at > now.time - ${recentMs}::int * interval '1 ms'
          AND c.created_at <= now.time + ${maxAheadMs}::int * interval '1 ms'
        ORDER BY c.created_at DESC LIMIT 1
      ) s ON true
      WHERE ${isPresent('m')} AND r.cancelled_at IS NULL`;
    const answeredAt = performance.now();
    const byUser = new Map(rows.map((row) => [row.id, row]));
    return typists.filter((typist) => {
      const row = byUser.get(typist.userId);
      return row !== undefined && !hasSentSince(typist, row, { askedAt, answeredAt });
    });
  },
});

/**
 * Whether the user has sent a message since the signal. The database's clock gives the age of the message; by this process's
 * clock it was sent that long before some moment between the query and its answer. If that does not decide which of the two
 * came first, their positions do. Otherwise the message counts as later, so that nobody seems to type who does not.
 */
function hasSentSince(
  { saidAt, seq }: Typist,
  row: Row,
  { askedAt, answeredAt }: Record<'askedAt' | 'answeredAt', number>,
) {
  if (row.seq === null || row.sent_ms_ago === null) return false;
  if (askedAt - row.sent_ms_ago > saidAt) return true;
  if (answeredAt - row.sent_ms_ago < saidAt - signalDelayMs) return false;
  return seq === null || row.seq > seq;
}
