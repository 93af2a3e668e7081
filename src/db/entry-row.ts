import { type LogEntry, type MessageChange, type StoredEntry, toLogEntry } from '../domain/room-log.js';
import { Prisma } from './generated/prisma/client.js';
import { type MessageRow, messageRow } from './message-row.js';

/** A message with what decides which entry of the log it stands for. */
export type EntryRow = MessageRow & { readonly change: MessageChange | null; readonly changed_at: Date | null };

/** The list of a SELECT from the table or composite. */
export const entryColumns = (table: string): Prisma.Sql =>
  Prisma.sql`${messageRow.select(table)}, ${Prisma.raw(`${table}.change, ${table}.changed_at`)}`;

/** The entry at the position: by default that of the last change. */
export function toStoredEntry(
  row: EntryRow,
  { directKey, epoch }: Pick<LogEntry, 'directKey' | 'epoch'>,
  position?: number,
): StoredEntry {
  const entry = toLogEntry(messageRow.decode(row), { directKey, epoch, change: row.change }, position);
  // Not the time of the last change, where the message was added: one that is edited all the time is old all the same.
  const writtenAt = entry.kind === 'added' ? null : row.changed_at;
  return { ...entry, writtenAt: writtenAt ?? entry.message.createdAt };
}
