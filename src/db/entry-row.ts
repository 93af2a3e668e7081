import type { MessageChange } from '../domain/message.js';
import { type LogEntry, type StoredEntry, toLogEntry } from '../domain/room-log.js';
import { Prisma } from './generated/prisma/client.js';
import { type MessageRow, messageRow } from './message-row.js';

/** A message with the columns that determine its entry in the log. */
export type EntryRow = MessageRow & { readonly change: MessageChange | null; readonly changed_at: Date | null };

/** The columns in a SELECT from the table or composite. */
export const entryColumns = (table: string): Prisma.Sql =>
  Prisma.sql`${messageRow.select(table)}, ${Prisma.raw(`${table}.change, ${table}.changed_at`)}`;

/** Returns the entry at the position, by default at that of the last change. */
export function toStoredEntry(
  row: EntryRow,
  { directKey, epoch }: Pick<LogEntry, 'directKey' | 'epoch'>,
  position?: number,
): StoredEntry {
  const entry = toLogEntry(messageRow.decode(row), { directKey, epoch, change: row.change }, position);
  // An added entry does not get the time of the last change: a message that is edited all the time is still old.
  const writtenAt = entry.kind === 'added' ? null : row.changed_at;
  return { ...entry, writtenAt: writtenAt ?? entry.message.createdAt };
}
