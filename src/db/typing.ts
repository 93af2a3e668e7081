import { type TypingStore, type Typist, typingExpiresInMs } from '../domain/typing.js';
import type { Database } from './database.js';
import { isPresent } from './membership.js';

/** Older messages end nothing that has not lapsed. */
const recentMs = typingExpiresInMs + 1_000;
/** Messages dated further ahead were sent before the clock was set back: nothing is known of when. */
const maxAheadMs = 1_000;
/** A signal may have been on its way to the stream, which dates it, for so long. */
const signalDelayMs = 250;

/** Somebody who may write there, and their newest message of late. */
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
 * The database's clock says how long ago a message was sent; by this process's clock that was so long before some moment
 * between the question and the answer. Where that does not tell which of the two came first, their positions do; else it
 * was the message, so that nobody seems to type who does not.
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
