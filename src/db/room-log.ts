import type { Attachment, AttachmentFailure } from '../domain/attachment.js';
import type { Message } from '../domain/message.js';
import { defaultLanguage, type Language } from '../domain/notice.js';
import type { LogEntry } from '../domain/room-log.js';
import type { Changer } from './changes.js';
import type { Queries } from './connection.js';
import type { Database } from './database.js';
import { isUncertain, LockedError } from './database-errors.js';
import { type EntryRow, entryColumns, toStoredEntry } from './entry-row.js';
import { epochColumn } from './epochs.js';
import { Prisma } from './generated/prisma/client.js';
import { GroupCommit } from './group-commit.js';
import { findRoomBy, type Room, type RoomSelection } from './rooms.js';

/** The outcome that a function of the room log returns. All except the first three are refusals. */
export type Outcome =
  | 'OK'
  | 'DUPLICATE'
  | 'UNCHANGED'
  | 'NOT_FOUND'
  | 'CONFLICT'
  | 'NOT_AUTHOR'
  | 'NOT_ADMIN'
  | 'NOT_GROUP'
  | 'DIRECT'
  | 'NOT_TEXT'
  | 'DELETED'
  | 'EDITED'
  | 'FULL'
  | 'NO_SUCH_MEMBER'
  | 'LAST_ADMIN'
  | 'FOREIGN_MESSAGE'
  | 'CANCELLED'
  | 'FOREIGN_ATTACHMENT'
  | 'UNUSABLE_ATTACHMENT'
  | 'NOT_UPLOADED'
  | 'NOT_READY'
  | 'ATTACHMENT_USED'
  | 'TOO_MANY_PENDING';

const done: ReadonlySet<Outcome> = new Set<Outcome>(['OK', 'DUPLICATE', 'UNCHANGED']);
/** Whether the change is in place now, by this write or an earlier one. */
export const isDone = (outcome: Outcome): boolean => done.has(outcome);

/** The message as it is stored now, if the outcome has one, and the entries that were appended to the log, if any. */
export interface LogWrite {
  readonly outcome: Outcome;
  readonly message: Message | null;
  readonly entries: readonly LogEntry[];
  /** The known users whose name the write has changed, if it can. */
  readonly renamed?: readonly number[];
}

export interface NewMessage {
  readonly id: string;
  readonly roomId: string;
  readonly senderId: number;
  readonly type: 'TEXT' | 'IMAGE';
  readonly content: string;
}

export interface NewRoom {
  readonly id: string;
  readonly type: 'DIRECT' | 'GROUP';
  readonly name: string | null;
  readonly directKey: string | null;
  readonly creatorId: number;
  /** Includes the creator. */
  readonly memberIds: readonly number[];
  /** The id of its first entry, ROOM_CREATED. */
  readonly messageId: string;
  /** Whether all members are confirmed, even if the creator does not know them; true by default, as for the platform. */
  readonly isVouched?: boolean;
  readonly language?: Language;
}

type WriteRow = { outcome: Outcome; direct_key: string | null; epoch: string } & (EntryRow | { id: null });

/** Runs the writes below: each is one call of one function, in its own transaction unless it is part of one. */
export interface Writer {
  readonly writes: Queries;
}

/** Resolves once the write is committed, in one round trip. */
async function write({ writes }: Writer, call: Prisma.Sql): Promise<LogWrite> {
  const rows = await writes.query<WriteRow>`
    SELECT w.outcome, w.direct_key, ${epochColumn}, ${entryColumns('(w.entry)')} FROM ${call} AS w`;
  return toLogWrite(rows);
}

function toLogWrite(rows: readonly WriteRow[]): LogWrite {
  const outcome = rows[0]?.outcome ?? 'NOT_FOUND';
  const entries = rows.flatMap((row) =>
    row.id === null ? [] : [toStoredEntry(row, { directKey: row.direct_key, epoch: row.epoch })],
  );
  return { outcome, message: entries[0]?.message ?? null, entries: outcome === 'OK' ? entries : [] };
}

/** Appends a message, in one commit with other messages that are sent at this moment. */
export function appendMessage(db: Database, message: NewMessage): Promise<LogWrite> {
  let commit = commits.get(db);
  if (commit === undefined) {
    commit = new GroupCommit<NewMessage, LogWrite>({
      atOnce: { one: (only) => appendOne(db, only), many: (messages) => appendAtOnce(db, messages) },
      patiently: {
        one: (only) => db.changes.wait(`room ${only.roomId}`, (writes) => appendOne({ writes }, only)),
        many: (messages) =>
          db.changes.wait(`room ${messages[0]?.roomId}`, (writes) =>
            appendMany({ writes }, messages, { skipLocked: false }),
          ),
      },
      isLocked: (error) => error instanceof LockedError,
      queueOf: ({ roomId }) => roomId,
      isUncertain,
    });
    commits.set(db, commit);
  }
  return commit.submit(message);
}

const commits = new WeakMap<Database, GroupCommit<NewMessage, LogWrite>>();

const appendOne = (db: Writer, { id, roomId, senderId, type, content }: NewMessage): Promise<LogWrite> =>
  write(
    db,
    Prisma.sql`chat_send_message(${id}::uuid, ${roomId}::uuid, ${senderId}::int, ${type}::chat_message_type, ${content}::text)`,
  );

/**
 * Waits a moment for locked rooms, then skips them. Two instances that write to the same rooms lock them for a millisecond at
 * a time: skipping them at once would cost a third of the throughput of both.
 */
const appendAtOnce = (db: Database, messages: readonly NewMessage[]): Promise<(LogWrite | LockedError)[]> =>
  appendMany(db, messages, { skipLocked: false }).catch((error: unknown) => {
    if (!(error instanceof LockedError)) throw error;
    return appendMany(db, messages, { skipLocked: true });
  });

/** Resolves with the result of each message; with `skipLocked`, with an error for messages of locked rooms. */
async function appendMany(
  { writes }: Writer,
  messages: readonly NewMessage[],
  { skipLocked }: { readonly skipLocked: boolean },
): Promise<(LogWrite | LockedError)[]> {
  const column = <Name extends keyof NewMessage>(name: Name) => messages.map((message) => message[name]);
  const rows = await writes.query<WriteRow | { outcome: 'LOCKED' }>`
    SELECT w.outcome, w.direct_key, ${epochColumn}, ${entryColumns('(w.entry)')}
    FROM chat_send_messages(
      ${column('id')}::uuid[], ${column('roomId')}::uuid[], ${column('senderId')}::int[],
      ${column('type')}::chat_message_type[], ${column('content')}::text[], ${skipLocked}::boolean) AS w
    ORDER BY w.place`;
  return rows.map((row) => (row.outcome === 'LOCKED' ? new LockedError() : toLogWrite([row])));
}

/** A message with attachments, in the order to show. */
export interface NewFileMessage extends Omit<NewMessage, 'type'> {
  readonly attachmentIds: readonly string[];
  /** For how long the files are kept; null without an end. */
  readonly retentionMs: number | null;
}

/** Appends a message with attachments, which takes a statement of its own: files are rare beside texts. */
export const appendFiles = (
  db: Writer,
  { id, roomId, senderId, content, attachmentIds, retentionMs }: NewFileMessage,
) =>
  write(
    db,
    Prisma.sql`chat_send_attachments(${id}::uuid, ${roomId}::uuid, ${senderId}::int, ${content}::text,
      ${attachmentIds}::uuid[], ${retentionMs}::float8 * interval '1 millisecond')`,
  );

/** Ends the work on a file. A message that has it gets an entry of the log. */
export const settleAttachment = (
  db: Writer,
  id: string,
  { status, failure = null, ...facts }: SettledFile,
  unusedMs: number,
): Promise<LogWrite> =>
  write(
    db,
    Prisma.sql`chat_settle_attachment(${id}::uuid, ${status}::chat_attachment_status,
      ${failure}::chat_attachment_failure, ${JSON.stringify(facts)}::jsonb, ${unusedMs}::float8 * interval '1 millisecond')`,
  );

/** What the work on a file has come to; absent facts stay as they are. */
export interface SettledFile
  extends Partial<
    Pick<Attachment, 'kind' | 'contentType' | 'byteSize' | 'width' | 'height' | 'durationMs' | 'thumbHash'>
  > {
  readonly status: 'READY' | 'FAILED' | 'EXPIRED';
  readonly failure?: AttachmentFailure | null;
}

/** Appends a SYSTEM message of the platform. */
export const announce = (db: Writer, { id, roomId, senderId, content }: Omit<NewMessage, 'type'>): Promise<LogWrite> =>
  write(db, Prisma.sql`chat_announce(${id}::uuid, ${roomId}::uuid, ${senderId}::int, ${content}::text)`);

/** @param editedAt - if given, the message must not have been edited since then; null means never */
export const editMessage = (
  db: Writer,
  id: string,
  userId: number,
  content: string,
  editedAt?: Date | null,
): Promise<LogWrite> =>
  write(
    db,
    Prisma.sql`chat_edit_message(${id}::uuid, ${userId}::int, ${content}::text, ${editedAt !== undefined}::boolean,
      ${editedAt?.toISOString() ?? null}::timestamptz)`,
  );

export const deleteMessage = (db: Writer, id: string, userId: number): Promise<LogWrite> =>
  write(db, Prisma.sql`chat_delete_message(${id}::uuid, ${userId}::int)`);

export interface MembershipChange {
  readonly roomId: string;
  readonly actorId: number;
  /** The id of the SYSTEM message about the change. */
  readonly messageId: string;
  /** The language of that message. */
  readonly language?: Language;
}

/** What changes of a GROUP; absent fields stay as they are. */
export interface RoomUpdate {
  readonly name?: string | undefined;
  /** Null removes the picture. */
  readonly imageUrl?: string | null | undefined;
  /** An uploaded picture, in place of `imageUrl`. */
  readonly imageId?: string | undefined;
  /** The id of the entry about the picture; the change's own is for the name. */
  readonly imageMessageId: string;
}

export const updateRoom = (
  db: Writer,
  { roomId, actorId, messageId, language = defaultLanguage }: MembershipChange,
  { name, imageUrl, imageId, imageMessageId }: RoomUpdate,
) =>
  write(
    db,
    Prisma.sql`chat_update_room(
      ${roomId}::uuid, ${actorId}::int, ${name ?? null}::text, ${imageUrl !== undefined || imageId !== undefined}::boolean,
      ${imageUrl ?? null}::text, ${[messageId, imageMessageId]}::uuid[], ${language}::text, ${imageId ?? null}::uuid)`,
  );

/** The invited users, the maximum size of the room, and whether they are confirmed even if the actor does not know them. */
export interface Invitation extends Pick<NewRoom, 'isVouched'> {
  readonly userIds: readonly number[];
  /** The names of these users, in their order, as a backend mentions them; stored unless the invitation is refused. */
  readonly names?: readonly (string | null)[] | undefined;
  readonly maxMembers: number;
}

export async function inviteMembers(
  { writes }: Writer,
  { roomId, actorId, messageId, language = defaultLanguage }: MembershipChange,
  { userIds, names, maxMembers, isVouched = true }: Invitation,
): Promise<LogWrite> {
  const rows = await writes.query<WriteRow & { renamed: readonly number[] }>`
    SELECT w.outcome, w.direct_key, w.renamed, ${epochColumn}, ${entryColumns('(w.entry)')}
    FROM chat_invite_members(
      ${roomId}::uuid, ${actorId}::int, ${userIds}::int[], ${maxMembers}::int, ${messageId}::uuid, ${isVouched}::boolean,
      ${language}::text, ${names ?? null}::text[]) AS w`;
  return { ...toLogWrite(rows), renamed: rows[0]?.renamed ?? [] };
}

export const removeMember = (
  db: Writer,
  { roomId, actorId, messageId, language = defaultLanguage }: MembershipChange,
  userId: number,
) =>
  write(
    db,
    Prisma.sql`chat_remove_member(${roomId}::uuid, ${actorId}::int, ${userId}::int, ${messageId}::uuid, ${language}::text)`,
  );

export const leaveRoom = (
  db: Writer,
  { roomId, actorId, messageId, language = defaultLanguage }: MembershipChange,
  successionId: string,
) =>
  write(
    db,
    Prisma.sql`chat_leave_room(${roomId}::uuid, ${actorId}::int, ${messageId}::uuid, ${successionId}::uuid, ${language}::text)`,
  );

export const setAdmin = (
  db: Writer,
  { roomId, actorId, messageId, language = defaultLanguage }: MembershipChange,
  userId: number,
  isAdmin: boolean,
) =>
  write(
    db,
    Prisma.sql`chat_set_admin(${roomId}::uuid, ${actorId}::int, ${userId}::int, ${isAdmin}::boolean, ${messageId}::uuid, ${language}::text)`,
  );

/** Creates the room, or finds the one with the same direct key; `created` says which. */
export async function createRoom(
  { writes }: Writer,
  room: NewRoom,
): Promise<{ roomId: string; created: boolean; entries: readonly LogEntry[] }> {
  const [row] = await writes.query<{ outcome: 'OK' | 'EXISTS'; created_id: string } & WriteRow>`
    SELECT w.outcome, w.room_id AS created_id, w.direct_key, ${epochColumn}, ${entryColumns('(w.entry)')}
    FROM chat_create_room(
      ${room.id}::uuid, ${room.type}::chat_room_type, ${room.name}::text, ${room.directKey}::text,
      NULL, ${room.creatorId}::int, ${room.memberIds}::int[], ${room.messageId}::uuid, ${room.isVouched ?? true}::boolean,
      ${room.language ?? defaultLanguage}::text) AS w`;
  if (row === undefined) throw new Error('chat_create_room answered nothing');
  const entries = row.id === null ? [] : [toStoredEntry(row, { directKey: row.direct_key, epoch: row.epoch })];
  return { roomId: row.created_id, created: row.outcome === 'OK', entries };
}

/**
 * Changes a room and reads the selection in the same transaction, as the change has left it. The user gets this even if they
 * are removed a moment later. The room is null if the change was refused.
 * @param what - the thing that is changed; one change of it runs at a time
 * @param write - makes the change with the given writer, and resolves with the id of the room; null if it was refused
 */
export const changeRoom = <Written extends { readonly roomId: string | null }>(
  { changes }: Database,
  what: string,
  changer: Changer & { readonly user: number },
  selection: RoomSelection,
  write: (writer: Writer) => Promise<Written>,
): Promise<Written & { readonly room: Room | null }> =>
  changes.change(
    what,
    (writes) =>
      writes.transaction(async (transaction) => {
        const written = await write({ writes: transaction });
        const { roomId } = written;
        return {
          ...written,
          room: roomId === null ? null : await findRoomBy(transaction, roomId, changer.user, selection),
        };
      }),
    changer,
  );
