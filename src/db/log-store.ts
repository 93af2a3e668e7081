import {
  type Backlog,
  backlogSampleSize,
  type Evidence,
  type LogPosition,
  type LogRange,
  type LogStore,
  logPageSize,
  type MarkMove,
  type NewStates,
  type PublishedRange,
  type RoomHead,
  type StoredEntry,
  type UnpublishedRoom,
} from '../domain/room-log.js';
import { createBatch } from './batch.js';
import type { Connection } from './connection.js';
import type { Database } from './database.js';
import { type EntryRow, entryColumns, toStoredEntry } from './entry-row.js';
import { type EpochValues, epochColumn, epochsOfRoom, presentEpoch, toEpochs } from './epochs.js';
import { type MemberRow, memberRow } from './member-row.js';
import { areMembers, isPresent, type Membership } from './membership.js';
import { ReplayPages } from './replay-pages.js';

/** The log as the feed reads it. */
export const createLogStore = (db: Database): LogStore => {
  // One query for all feeds that open in one turn: a storm of reconnects opens thousands.
  const heads = createBatch<string, RoomHead | null>((roomIds) => readHeadsOf(db, roomIds), setImmediate);
  // One query for all subscribers whose membership is checked in one turn, as after a change of the epoch.
  const members = createBatch<Membership, boolean>((asked) => areMembers(db, asked), setImmediate);
  const pages = new ReplayPages(db, readPage);
  return {
    readHead: (roomId) => heads.load(roomId),
    readPage: (range) => readPage(db.writes, range),
    replayPage: (range, viewerId, wait) => pages.load(range, viewerId, wait),
    readHeads: (roomIds) => readHeads(db, roomIds),
    isMember: (roomId, userId) => members.load({ roomId, userId }),
    readMarks: (asked) => readMarks(db, asked),
    readUnpublished: (minAgeMs, count) => readUnpublished(db, minAgeMs, count),
    readBacklog: () => readBacklog(db),
    advancePublished: (ranges) => advancePublished(db, ranges),
    settleRooms: (quietMs, limit) => settleRooms(db, quietMs, limit),
    noteEpoch: (epoch) => db.epochs.note(epoch),
    doubtEpoch: (evidence) => doubtEpoch(db, evidence),
  };
};

async function readHeadsOf({ writes }: Database, roomIds: readonly string[]): Promise<(RoomHead | null)[]> {
  const rows = await writes.query<{ id: string; seq: number; direct_key: string | null; epochs: EpochValues }>`
    SELECT r.id, r.seq, r.direct_key, ${epochsOfRoom} AS epochs FROM chat_rooms r WHERE r.id = ANY(${roomIds}::uuid[])`;
  const byId = new Map(
    rows.map(({ id, seq, direct_key, epochs }) => [id, { seq, directKey: direct_key, epochs: toEpochs(epochs) }]),
  );
  return roomIds.map((roomId) => byId.get(roomId) ?? null);
}

async function readHeads({ upkeep }: Database, roomIds: readonly string[]): Promise<Map<string, LogPosition>> {
  const rows = await upkeep.query<{ id: string; seq: number; epoch: string }>`
    SELECT r.id, r.seq, ${epochColumn} FROM chat_rooms r WHERE r.id = ANY(${roomIds}::uuid[])`;
  return new Map(rows.map(({ id, seq, epoch }) => [id, { seq, epoch }]));
}

/** Reads two index ranges, merged by position. */
async function readPage(connection: Connection, { roomId, base, after, upTo }: LogRange): Promise<StoredEntry[]> {
  const rows = await connection.query<EntryRow & { position: number; direct_key: string | null; epoch: string }>`
    SELECT ${entryColumns('p')}, p.position, ${epochColumn}, (SELECT r.direct_key FROM chat_rooms r WHERE r.id = ${roomId}::uuid)
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
    ORDER BY p.position LIMIT ${logPageSize}::int`;
  return rows.map((row) => toStoredEntry(row, { directKey: row.direct_key, epoch: row.epoch }, row.position));
}

async function readMarks({ upkeep }: Database, { roomIds, ageMs, count }: NewStates): Promise<MarkMove[]> {
  const rows = await upkeep.query<MemberRow & { previousSeq: number | null }>`
    SELECT ${memberRow.select('m')}, (
      SELECT d.seq FROM message_reads d
      WHERE d.room_id = m.room_id AND d.user_id = m.user_id AND d.read_at < asked.start ORDER BY d.seq DESC LIMIT 1
    ) AS "previousSeq"
    FROM (SELECT clock_timestamp() - ${ageMs}::float8 * interval '1 ms' AS start) asked, chat_room_members m
    WHERE m.room_id = ANY(${roomIds}::uuid[]) AND ${isPresent('m')} AND m.last_read_at >= asked.start
    ORDER BY m.last_read_at DESC LIMIT ${count}::int`;
  return rows.map((row) => ({ ...memberRow.decode(row), previousSeq: row.previousSeq })).reverse();
}

/** An entry that is dated further ahead than rounding to milliseconds explains was written before the clock was set back. */
const maxAheadMs = 1_000;
/** The age of such an entry is not known: it counts as at least this. */
const agePastStep = '1 minute';

/**
 * The mark of a busy room always lags behind entries that are being published; only older ones are worth a retry. Entries
 * that are dated ahead of the clock count as older.
 */
async function readUnpublished({ upkeep }: Database, minAgeMs: number, count: number): Promise<UnpublishedRoom[]> {
  return upkeep.query<UnpublishedRoom>`
    SELECT r.id AS "roomId", r.published_seq AS "publishedSeq", r.seq, ${epochColumn}, due.until AS "dueUntil", due.beyond AS "dueBeyond"
    FROM chat_rooms r, (
      SELECT now.time - ${minAgeMs}::int * interval '1 ms' AS until, now.time + ${maxAheadMs}::int * interval '1 ms' AS beyond
      FROM (SELECT clock_timestamp() AS time) now
    ) due
    WHERE NOT r.is_settled AND r.published_seq < r.seq AND (
      EXISTS (SELECT FROM chat_messages m
              WHERE m.room_id = r.id AND m.seq > r.published_seq AND NOT (m.created_at > due.until AND m.created_at <= due.beyond))
      OR EXISTS (SELECT FROM chat_messages m
                 WHERE m.room_id = r.id AND m.changed_seq > r.published_seq AND m.changed_seq <> m.seq
                   AND NOT (m.changed_at > due.until AND m.changed_at <= due.beyond)))
    ORDER BY r.updated_at LIMIT ${count}::int`;
}

async function readBacklog({ upkeep, epochs }: Database): Promise<Backlog> {
  const [row] = await upkeep.query<Backlog & { epoch: string }>`
    SELECT ${epochColumn},
      (SELECT coalesce(sum(r.seq - r.published_seq), 0)::float8 FROM chat_rooms r WHERE NOT r.is_settled AND r.published_seq < r.seq) AS entries,
      coalesce(max(extract(epoch FROM CASE
        WHEN first.written_at > now.time + ${maxAheadMs}::int * interval '1 ms'
        THEN greatest(first.written_at - now.time, ${agePastStep}::interval)
        ELSE now.time - first.written_at
      END)), 0)::float8 * 1000 AS "oldestMs"
    FROM (SELECT clock_timestamp() AS time) now, (
      SELECT r.id, r.published_seq FROM chat_rooms r WHERE NOT r.is_settled AND r.published_seq < r.seq
      ORDER BY r.updated_at LIMIT ${backlogSampleSize}::int
    ) r, LATERAL (VALUES
      ((SELECT m.created_at FROM chat_messages m
        WHERE m.room_id = r.id AND m.seq > r.published_seq ORDER BY m.seq LIMIT 1)),
      ((SELECT m.changed_at FROM chat_messages m
        WHERE m.room_id = r.id AND m.changed_seq > r.published_seq AND m.changed_seq <> m.seq
        ORDER BY m.changed_seq LIMIT 1))
    ) AS first(written_at)`;
  // This is how each instance learns of an epoch that another instance, or the operator, has begun.
  if (row !== undefined) epochs.note(row.epoch);
  return row ?? { entries: 0, oldestMs: 0 };
}

/** Activity that is dated ahead of the clock is from before the clock was set back: it counts as old. */
async function settleRooms({ upkeep }: Database, quietMs: number, limit: number): Promise<number> {
  const [row] = await upkeep.query<{ settled: number }>`
    WITH quiet AS MATERIALIZED (
      SELECT r.id FROM chat_rooms r, (SELECT clock_timestamp() AS time) now
      WHERE NOT r.is_settled AND r.published_seq >= r.seq
        AND NOT (r.updated_at > now.time - ${quietMs}::int * interval '1 ms'
          AND r.updated_at <= now.time + ${maxAheadMs}::int * interval '1 ms')
      ORDER BY r.id LIMIT ${limit}::int FOR NO KEY UPDATE OF r SKIP LOCKED
    ), settled AS (
      UPDATE chat_rooms r SET is_settled = true FROM quiet WHERE r.id = quiet.id RETURNING 1
    )
    SELECT count(*)::int AS settled FROM settled`;
  return row?.settled ?? 0;
}

async function doubtEpoch({ upkeep, epochs }: Database, evidence: Evidence): Promise<void> {
  const { epoch, roomId, seq, messageId, isAdded } = evidence;
  const [row] = await upkeep.query<{ epoch: string }>`
    SELECT chat_doubt_epoch(${epoch}::uuid, ${roomId}::uuid, ${seq}::int, ${messageId}::uuid, ${isAdded}::boolean) AS epoch`;
  if (row !== undefined) epochs.note(row.epoch);
}

/** Skips locked rooms until the next time, so that they do not delay the others. */
async function advancePublished({ upkeep }: Database, ranges: readonly PublishedRange[]): Promise<Map<string, number>> {
  const roomIds = ranges.map((range) => range.roomId);
  const starts = ranges.map((range) => range.from);
  const ends = ranges.map((range) => range.to);
  const epochs = ranges.map((range) => range.epoch);
  const rows = await upkeep.query<{ id: string; mark: number }>`
    WITH free AS MATERIALIZED (
      SELECT r.id FROM chat_rooms r WHERE r.id = ANY(${roomIds}::uuid[]) ORDER BY r.id FOR NO KEY UPDATE SKIP LOCKED
    ), moving AS (
      SELECT array_agg(a.room) AS rooms, array_agg(a.first) AS starts, array_agg(a.last) AS ends
      FROM unnest(${roomIds}::uuid[], ${starts}::int[], ${ends}::int[], ${epochs}::uuid[]) AS a(room, first, last, epoch)
      JOIN free ON free.id = a.room WHERE a.epoch = ${presentEpoch}
    ), moved AS MATERIALIZED (
      SELECT a.id, a.mark FROM moving m, chat_advance_published(m.rooms, m.starts, m.ends) AS a
    )
    SELECT r.id, coalesce(moved.mark, r.published_seq) AS mark
    FROM chat_rooms r LEFT JOIN moved ON moved.id = r.id WHERE r.id = ANY(${roomIds}::uuid[])`;
  return new Map(rows.map(({ id, mark }) => [id, mark]));
}
