import type { TestDatabase } from './database.js';

/** A room's log in the database. */
export interface StoredLog {
  readonly head: number;
  readonly publishedSeq: number;
  /** The positions of added messages, in order. */
  readonly added: readonly number[];
  /** The positions of the last edits or deletions of messages, in order. */
  readonly changed: readonly number[];
}

export async function readStoredLog(database: TestDatabase, roomId: string): Promise<StoredLog> {
  const [room] = await database.query<{ head: number; publishedSeq: number }>(
    'SELECT seq AS head, published_seq AS "publishedSeq" FROM chat_rooms WHERE id = $1',
    [roomId],
  );
  const messages = await database.query<{ seq: number; changed: number }>(
    'SELECT seq, changed_seq AS changed FROM chat_messages WHERE room_id = $1 ORDER BY seq',
    [roomId],
  );
  if (room === undefined) throw new Error(`No such room: ${roomId}`);
  return {
    ...room,
    added: messages.map(({ seq }) => seq),
    changed: messages
      .filter(({ seq, changed }) => changed !== seq)
      .map(({ changed }) => changed)
      .sort((a, b) => a - b),
  };
}

/** Returns 1, 2, 3 ... up to this number. */
export const countTo = (last: number): number[] => Array.from({ length: last }, (_, index) => index + 1);
