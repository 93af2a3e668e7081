import { defaultLanguage, type Language } from '../domain/notice.js';
import type { LogEntry } from '../domain/room-log.js';
import type { Database } from './database.js';
import { type EntryRow, entryColumns, toStoredEntry } from './entry-row.js';
import { epochColumn } from './epochs.js';
import type { MentionedUser } from './users.js';

/** The state of a booking in the booking system. */
export interface BookingState {
  readonly bookingId: number;
  readonly name: string | null;
  /** All members of the booking; null if not given. */
  readonly members: readonly MentionedUser[] | null;
  /** Increases with every change of the booking; null is older than every number. */
  readonly version: number | null;
  readonly cancelled: boolean;
  /** Whether to leave a room unchanged whose members are known already, regardless of the version. */
  readonly onlyMakes?: boolean;
}

export interface SyncedBooking {
  readonly roomId: string;
  /** Whether this call created the room. */
  readonly created: boolean;
  /** Whether the members were applied: false if the same or a newer version was known. */
  readonly applied: boolean;
  readonly entries: readonly LogEntry[];
  /** The known users whose name has changed. */
  readonly renamed: readonly number[];
}

/** Updates the booking's room to that state, in one round trip and one transaction; creates it if there is none. */
export async function syncBooking(
  { changes }: Database,
  { bookingId, name, members, version, cancelled, onlyMakes = false }: BookingState,
  ids: { readonly roomId: string; readonly messageIds: readonly [string, string, string, string] },
  language: Language = defaultLanguage,
): Promise<SyncedBooking> {
  const userIds = members?.map(({ userId }) => userId) ?? null;
  const names = members?.map(({ userName }) => userName) ?? null;
  const rows = await changes.change(
    `booking ${bookingId}`,
    ({ query }) => query<SyncRow>`
    SELECT w.room_id AS synced_id, w.created, w.applied, w.renamed, ${epochColumn}, ${entryColumns('(w.entry)')}
    FROM chat_sync_booking(
      ${ids.roomId}::uuid, ${bookingId}::int, ${name}::text, ${userIds}::int[], ${names}::text[], ${version}::bigint,
      ${cancelled}::boolean, ${onlyMakes}::boolean, ${ids.messageIds}::uuid[], ${language}::text) AS w`,
  );
  const [row] = rows;
  if (row === undefined) throw new Error('chat_sync_booking answered nothing');
  const entries = rows.flatMap((each) =>
    each.id === null ? [] : [toStoredEntry(each, { directKey: null, epoch: each.epoch })],
  );
  return { roomId: row.synced_id, created: row.created, applied: row.applied, entries, renamed: row.renamed };
}

type SyncRow = Pick<SyncedBooking, 'created' | 'applied' | 'renamed'> & { synced_id: string; epoch: string } & (
    | EntryRow
    | { id: null }
  );
