import {
  type LogEntry,
  type LogRange,
  type LogStore,
  logPageSize,
  type PublishedRange,
  type RoomHead,
  toLogEntry,
  type UnpublishedRoom,
} from '../domain/room-log.js';
import type { Database } from './database.js';
import { type MessageRow, messageColumns, toMessage } from './rows.js';

/** The log as the feed reads it. */
export const createLogStore = (db: Database): LogStore => ({
  readHead: (roomId) => readHead(db, roomId),
  readPage: (range) => readPage(db, range),
  readHeads: (roomIds) => readHeads(db, roomIds),
  readUnpublished: (count) => readUnpublished(db, count),
  advancePublished: (ranges) => advancePublished(db, ranges),
});

async function readHead(db: Database, roomId: string): Promise<RoomHead | null> {
  const rows = await db.replay(
    (prisma) => prisma.$queryRaw<{ seq: number; direct_key: string | null }[]>`
      SELECT r.seq, r.direct_key FROM chat_rooms r WHERE r.id = ${roomId}::uuid`,
  );
  return rows[0] === undefined ? null : { seq: rows[0].seq, directKey: rows[0].direct_key };
}

async function readHeads({ prisma }: Database, roomIds: readonly string[]): Promise<Map<string, number>> {
  const rows = await prisma.$queryRaw<{ id: string; seq: number }[]>`
    SELECT r.id, r.seq FROM chat_rooms r WHERE r.id = ANY(${roomIds}::uuid[])`;
  return new Map(rows.map(({ id, seq }) => [id, seq]));
}

/** Two index ranges, merged by position. */
async function readPage(db: Database, { roomId, base, after, upTo }: LogRange): Promise<LogEntry[]> {
  const rows = await db.replay(
    (prisma) => prisma.$queryRaw<(MessageRow & { position: number; direct_key: string | null })[]>`
      SELECT ${messageColumns('p')}, p.position, (SELECT r.direct_key FROM chat_rooms r WHERE r.id = ${roomId}::uuid)
      FROM (
        (SELECT m.*, m.seq AS position FROM chat_messages m
         WHERE m.room_id = ${roomId}::uuid AND m.seq > ${after}::int AND m.seq <= ${upTo}::int
         ORDER BY m.seq LIMIT ${logPageSize}::int)
        UNION ALL
        (SELECT m.*, m.changed_seq AS position FROM chat_messages m
         WHERE m.room_id = ${roomId}::uuid AND m.changed_seq > ${after}::int AND m.changed_seq <= ${upTo}::int
           AND m.changed_seq <> m.seq AND m.seq <= ${base}::int
         ORDER BY m.changed_seq LIMIT ${logPageSize}::int)
      ) p
      ORDER BY p.position LIMIT ${logPageSize}::int`,
  );
  return rows.map((row) => toLogEntry(toMessage(row), row.direct_key, row.position));
}

async function readUnpublished({ prisma }: Database, count: number): Promise<UnpublishedRoom[]> {
  return prisma.$queryRaw<UnpublishedRoom[]>`
    SELECT r.id AS "roomId", r.published_seq AS "publishedSeq", r.seq
    FROM chat_rooms r WHERE r.published_seq < r.seq ORDER BY r.updated_at LIMIT ${count}::int`;
}

async function advancePublished({ prisma }: Database, ranges: readonly PublishedRange[]): Promise<Map<string, number>> {
  const roomIds = ranges.map((range) => range.roomId);
  const starts = ranges.map((range) => range.from);
  const ends = ranges.map((range) => range.to);
  const rows = await prisma.$queryRaw<{ id: string; mark: number }[]>`
    SELECT a.id, a.mark FROM chat_advance_published(${roomIds}::uuid[], ${starts}::int[], ${ends}::int[]) AS a`;
  return new Map(rows.map(({ id, mark }) => [id, mark]));
}
