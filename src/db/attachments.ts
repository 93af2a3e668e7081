import type { Attachment, AttachmentKind, AttachmentStatus, UploadPurpose } from '../domain/attachment.js';
import type { Message } from '../domain/message.js';
import { decodeCursor, encodeCursor, type Page, type PageRequest, toPage } from '../domain/page.js';
import type { Database } from './database.js';
import { Prisma } from './generated/prisma/client.js';
import { membershipOf } from './membership.js';
import { type MessageJson, messageRow } from './message-row.js';
import type { Outcome, Writer } from './room-log.js';
import { toTime } from './row.js';

/** What an uploader says of a file before its bytes are there. A retry must say the same. */
export interface Announcement {
  readonly name: string;
  readonly contentType: string;
  readonly byteSize: number;
  /** In hex. */
  readonly sha256: string | null;
}

export interface NewUpload {
  readonly id: string;
  readonly roomId: string;
  readonly uploaderId: number;
  readonly purpose: UploadPurpose;
  readonly announced: Announcement;
  /** It expires after this time, unless it is used. */
  readonly lifetimeMs: number;
  /** So many files of the user may wait for their completion. */
  readonly maxPending: number;
}

/** Announces a file; the same one again returns it as it is now. */
export async function createUpload(
  { writes }: Database,
  { id, roomId, uploaderId, purpose, announced, lifetimeMs, maxPending }: NewUpload,
): Promise<{ outcome: Outcome; attachment: Attachment | null }> {
  const [row] = await writes.query<{ outcome: Outcome; attachment: Attachment | null }>`
    SELECT * FROM chat_create_upload(${id}::uuid, ${roomId}::uuid, ${uploaderId}::int, ${purpose}::chat_upload_purpose,
      ${JSON.stringify(announced)}::jsonb, ${lifetimeMs}::float8 * interval '1 millisecond', ${maxPending}::int)`;
  if (row === undefined) throw new Error('chat_create_upload answered nothing');
  return row;
}

/** A file with what only the server needs of it. */
export interface StoredFile {
  readonly attachment: Attachment;
  readonly roomId: string;
  readonly uploaderId: number;
  readonly purpose: UploadPurpose;
  readonly announced: Announcement;
  readonly createdAt: Date;
  /** Whether a message or a room uses it. */
  readonly isUsed: boolean;
  /** Which copy of what was uploaded counts; null before the completion, and for a file of the server's own. */
  readonly reception: string | null;
}

type FileRow = Omit<StoredFile, 'createdAt'> & { readonly createdAt: number };

const fileColumns = Prisma.sql`
  chat_attachment_json(a) AS attachment, a.room_id AS "roomId", a.uploader_id AS "uploaderId", a.purpose,
  a.announced, a.reception,
  date_part('epoch', a.created_at) AS "createdAt",
  EXISTS (SELECT FROM chat_message_attachments u WHERE u.attachment_id = a.id)
    OR EXISTS (SELECT FROM chat_rooms r WHERE r.id = a.room_id AND r.image_url = '/files/' || a.id || '/medium') AS "isUsed"`;

const toFile = ([row]: readonly FileRow[]): StoredFile | null =>
  row === undefined ? null : { ...row, createdAt: toTime(row.createdAt) };

/** The file, for the server's own work; null if there is none. */
export const findFile = async ({ upkeep }: Database, id: string): Promise<StoredFile | null> =>
  toFile(await upkeep.query<FileRow>`SELECT ${fileColumns} FROM chat_attachments a WHERE a.id = ${id}::uuid`);

/** The user's own upload in a room of theirs. */
export const findUpload = async ({ reads }: Database, id: string, userId: number): Promise<StoredFile | null> =>
  toFile(
    await reads.query<FileRow>`
      SELECT ${fileColumns} FROM chat_attachments a JOIN ${membershipOf(userId)} ON me.room_id = a.room_id
      WHERE a.id = ${id}::uuid AND a.uploader_id = ${userId}::int`,
  );

/**
 * The file if the user may see it now: as its uploader, or as a member of its room once it is used. Null otherwise, whatever the
 * reason.
 */
export async function findVisibleFile({ reads }: Database, id: string, userId: number): Promise<StoredFile | null> {
  const file = toFile(
    await reads.query<FileRow>`
      SELECT ${fileColumns} FROM chat_attachments a JOIN ${membershipOf(userId)} ON me.room_id = a.room_id
      WHERE a.id = ${id}::uuid`,
  );
  return file !== null && (file.isUsed || file.uploaderId === userId) ? file : null;
}

/** Stores for how many days the files of the room's messages are kept; false if there is no such room. */
export async function setRetention({ writes }: Writer, roomId: string, days: number | null): Promise<boolean> {
  const rows = await writes.query`
    UPDATE chat_rooms r SET attachment_retention_days = ${days}::int WHERE r.id = ${roomId}::uuid RETURNING 1 AS found`;
  return rows.length > 0;
}

/** The number of files that one call of `dateFiles` dates at most; the room is locked meanwhile. */
const datedAtOnce = 500;

/**
 * Dates a part of the files in the room's messages as its retention says now, from this position of its log on backwards.
 * Resolves with the position to go on from; null once all are dated.
 * @param retentionMs - for how long the server keeps files where the room does not say; null without an end
 */
export async function dateFiles(
  { writes }: Writer,
  roomId: string,
  from: number,
  retentionMs: number | null,
): Promise<number | null> {
  const [row] = await writes.query<{ next: number | null }>`
    SELECT chat_date_files(${roomId}::uuid, ${from}::bigint, ${datedAtOnce}::int,
      ${retentionMs}::float8 * interval '1 millisecond') AS next`;
  return row?.next ?? null;
}

/** What the bytes of a completed upload are. */
export interface LookedAt {
  readonly status: Exclude<AttachmentStatus, 'PENDING'>;
  readonly failure: Attachment['failure'];
  readonly kind: AttachmentKind;
  readonly contentType: string;
  readonly byteSize: number;
  readonly width: number | null;
  readonly height: number | null;
  readonly durationMs: number | null;
  /** The copy that was looked at. */
  readonly reception: string;
}

/** Notes what the bytes are. The first of several calls decides; resolves with the file as it is after it, and with the copy that counts. */
export async function completeUpload(
  { writes }: Database,
  id: string,
  { status, failure, kind, contentType, byteSize, width, height, durationMs, reception }: LookedAt,
  lifetimeMs: number,
): Promise<{ attachment: Attachment; reception: string | null } | null> {
  const rows = await writes.query<{ attachment: Attachment; reception: string | null }>`
    UPDATE chat_attachments a SET status = ${status}::chat_attachment_status, failure = ${failure}::chat_attachment_failure,
      kind = ${kind}::chat_attachment_kind, content_type = ${contentType}::text, byte_size = ${byteSize}::int,
      width = ${width}::int, height = ${height}::int, duration_ms = ${durationMs}::int, reception = ${reception}::uuid,
      due_at = CASE WHEN ${status}::text = 'READY' THEN a.created_at + ${lifetimeMs}::float8 * interval '1 millisecond'
        ELSE clock_timestamp() + interval '10 seconds' END
    WHERE a.id = ${id}::uuid AND a.status = 'PENDING'
    RETURNING chat_attachment_json(a) AS attachment, a.reception`;
  if (rows[0] !== undefined) return rows[0];
  const [before] = await writes.query<{ attachment: Attachment; reception: string | null }>`
    SELECT chat_attachment_json(a) AS attachment, a.reception FROM chat_attachments a WHERE a.id = ${id}::uuid`;
  return before ?? null;
}

/** The number of files that one call of `takeDueFiles` returns at most. */
const dueAtOnce = 100;

/** Takes files that have work waiting, and postpones each by `againMs`: if its work is not done by then, it is due again. */
export async function takeDueFiles({ upkeep }: Database, againMs: number): Promise<string[]> {
  const rows = await upkeep.query<{ id: string }>`
    UPDATE chat_attachments a SET due_at = clock_timestamp() + ${againMs}::float8 * interval '1 millisecond'
    FROM (
      SELECT d.id FROM chat_attachments d WHERE d.due_at <= clock_timestamp()
      ORDER BY d.due_at LIMIT ${dueAtOnce} FOR UPDATE SKIP LOCKED
    ) due
    WHERE a.id = due.id RETURNING a.id`;
  return rows.map(({ id }) => id);
}

/** Puts the work on a file off. */
export async function postponeFile({ upkeep }: Database, id: string, byMs: number): Promise<void> {
  await upkeep.query`
    UPDATE chat_attachments a SET due_at = clock_timestamp() + ${byMs}::float8 * interval '1 millisecond'
    WHERE a.id = ${id}::uuid AND a.status = 'PROCESSING'`;
}

/** Notes that nothing more has to be done for an ended file. */
export async function noteErased({ upkeep }: Database, id: string): Promise<void> {
  await upkeep.query`
    UPDATE chat_attachments a SET due_at = NULL
    WHERE a.id = ${id}::uuid AND a.status IN ('FAILED', 'EXPIRED')`;
}

/** Stores the id of the storage if the database has none yet. Resolves with the one that it has. */
export async function claimStorage({ writes }: Database, id: string): Promise<string> {
  await writes.query`
    INSERT INTO chat_keys (name, key) VALUES ('storage', convert_to(${id}::text, 'UTF8')) ON CONFLICT (name) DO NOTHING`;
  const [row] = await writes.query<{ id: string }>`
    SELECT convert_from(k.key, 'UTF8') AS id FROM chat_keys k WHERE k.name = 'storage'`;
  return row?.id ?? '';
}

/** A file of a room, with its message. */
export interface RoomFile {
  readonly attachment: Attachment;
  readonly message: Message;
  readonly position: number;
}

export const cursorOfFile = ({ message, position }: RoomFile): string =>
  encodeCursor('file', message.roomId, message.seq, position);

/** @throws {ChatError} BAD_USER_INPUT if it is not a cursor of a room's files */
export const assertFileCursor = (cursor: string): void =>
  void decodeCursor('file', cursor, /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12} \d{1,10} \d{1,2}$/);

/** A page of the files in a room's messages, the newest message first; empty if the user is not a member now. */
export async function pageFiles(
  { reads }: Database,
  roomId: string,
  userId: number,
  { page, kind }: { readonly page: PageRequest; readonly kind: AttachmentKind | null },
): Promise<Page<RoomFile>> {
  const [seq = 2 ** 31, position = 0] =
    page.after === undefined
      ? []
      : decodeCursor('file', page.after, new RegExp(`^${roomId} (\\d{1,10}) (\\d{1,2})$`)).map(Number);
  const ofKind = kind === null ? Prisma.empty : Prisma.sql`AND u.kind = ${kind}::chat_attachment_kind`;
  const rows = await reads.query<{ attachment: Attachment; position: number; message: MessageJson }>`
    SELECT chat_attachment_json(a) AS attachment, u.position, json_build_array(${messageRow.values('m')}) AS message
    FROM ${membershipOf(userId)}
    JOIN chat_message_attachments u ON u.room_id = me.room_id
    JOIN chat_messages m ON m.id = u.message_id AND m.deleted_at IS NULL
    JOIN chat_attachments a ON a.id = u.attachment_id
    WHERE me.room_id = ${roomId}::uuid ${ofKind}
      AND (u.seq < ${seq}::bigint OR (u.seq = ${seq}::bigint AND u.position > ${position}::int))
    ORDER BY u.seq DESC, u.position LIMIT ${page.count + 1}::int`;
  const files = rows.map(({ message, ...file }) => ({ ...file, message: messageRow.decodeJson(message, { roomId }) }));
  return toPage(files, page);
}
