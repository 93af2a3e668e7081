import type { Message } from '../domain/message.js';
import { decodeCursor, encodeCursor, type Page, type PageRequest, toPage } from '../domain/page.js';
import type { View } from './batch.js';
import type { Database } from './database.js';
import { Prisma } from './generated/prisma/client.js';
import { isPresent, membershipOf } from './membership.js';
import { type MessageJson, type MessageRow, messageRow } from './message-row.js';
import { toTime } from './row.js';
import type { User } from './user-row.js';

/** Resolves with the message, or null if the user is not a member of its room now. */
export async function findMessage({ reads }: Database, id: string, userId: number | null): Promise<Message | null> {
  const rows = await reads.query<MessageRow>`
    SELECT ${messageRow.select('c')} FROM chat_messages c JOIN ${membershipOf(userId)} ON me.room_id = c.room_id
    WHERE c.id = ${id}::uuid`;
  return rows[0] === undefined ? null : messageRow.decode(rows[0]);
}

/** The rooms of the messages that exist, by the ids of the messages. */
export async function findRoomsOfMessages({ writes }: Database, ids: readonly string[]): Promise<Map<string, string>> {
  const rows = await writes.query<{ id: string; room_id: string }>`
    SELECT c.id, c.room_id FROM chat_messages c WHERE c.id = ANY(${ids}::uuid[])`;
  return new Map(rows.map(({ id, room_id }) => [id, room_id]));
}

export const cursorOfMessage = ({ roomId, seq }: Message): string => encodeCursor('message', roomId, seq);

/** @throws {ChatError} BAD_USER_INPUT if it is not a cursor of a room's messages */
export const assertMessageCursor = (cursor: string): void =>
  void decodeCursor('message', cursor, /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12} \d{1,10}$/);

/**
 * Returns the page with positions in the room's log for its cursors.
 * @throws {ChatError} BAD_USER_INPUT if a cursor is of another room, where its position means something else
 */
export function locatePage({ after, before, ...page }: PageRequest, roomId: string): PageRequest<number> {
  const seqOf = (cursor: string | undefined) =>
    cursor === undefined
      ? undefined
      : Number(decodeCursor('message', cursor, new RegExp(`^${roomId} (\\d{1,10})$`))[0]);
  return { ...page, after: seqOf(after), before: seqOf(before) };
}

/** The messages that a page omits: deleted ones, and this many of the others at the page's start. */
export interface Omissions {
  readonly deleted: boolean;
  readonly skip: number;
}

/** The parts that can be read with a message. */
export interface MessageParts {
  readonly sender: User;
  readonly readCount: number;
  readonly unreadMemberCount: number;
}
export type MessagePart = keyof MessageParts;
export const messageParts = ['sender', 'readCount', 'unreadMemberCount'] as const satisfies readonly MessagePart[];

export type PagedMessage = Message & Partial<MessageParts>;

/** A page of a room's history, and the parts of its messages. */
export interface HistoryRequest {
  readonly page: PageRequest<number>;
  readonly parts?: readonly MessagePart[] | undefined;
  readonly omissions?: Omissions | undefined;
}

/** Reads a page of a room's history by seq, oldest first, in one statement; empty if the user is not a member now. */
export async function pageMessages(
  { reads }: Database,
  roomId: string,
  userId: number | null,
  request: HistoryRequest,
): Promise<Page<PagedMessage>> {
  const rows = await reads.query<{ history: HistoryJson }>`
    SELECT ${historyJson('me.room_id', request)} AS history
    FROM ${membershipOf(userId)} WHERE me.room_id = ${roomId}::uuid`;
  return toHistory(roomId, rows[0]?.history ?? null, request);
}

export type HistoryJson = readonly PagedMessageJson[] | null;
type PagedMessageJson = MessageJson<[senderName: string | null, readCount: number | null, unreadCount: number | null]>;

/**
 * The page as one value in the row of its room, which is read in half the time of as many rows.
 * @param room - the room's id in the query
 */
export function historyJson(room: string, { page, parts = [], omissions }: HistoryRequest): Prisma.Sql {
  const { after = 0, before = 2 ** 31 } = page;
  const messages = Prisma.sql`
    SELECT c.* FROM chat_messages c
    WHERE c.room_id = ${Prisma.raw(room)} AND c.seq > ${after}::bigint AND c.seq < ${before}::bigint
      AND (c.deleted_at IS NULL OR NOT ${omissions?.deleted ?? false}::boolean)
    ORDER BY c.seq ${page.backward ? Prisma.sql`DESC` : Prisma.sql`ASC`}
    OFFSET ${omissions?.skip ?? 0}::int LIMIT ${page.count + 1}::int`;
  return messagesJson(room, messages, parts);
}

/** @param messages - a query of messages of the room, with all columns */
function messagesJson(room: string, messages: Prisma.Sql, parts: readonly MessagePart[]): Prisma.Sql {
  const columns = messageParts.map((part) => (parts.includes(part) ? sqlOfPart[part] : Prisma.sql`NULL`));
  const counts = [readCount, unreadMemberCount].filter(({ sql }) => columns.includes(sql));
  const lists = counts.map(({ marks }) => marks);
  // The parts are outside of the page: with a join inside, a plan for any room may read the whole room to sort it.
  return Prisma.sql`(
    ${lists.length > 0 ? Prisma.sql`WITH ${readMarks(Prisma.sql`= ${Prisma.raw(room)}`, lists)}` : Prisma.empty}
    SELECT json_agg(json_build_array(${messageRow.values('c')}, ${Prisma.join(columns)})) FROM (${messages}) c)`;
}

export const toHistory = (roomId: string, values: HistoryJson, { page, parts }: HistoryRequest): Page<PagedMessage> =>
  toPage(toPagedMessages(roomId, values, parts), page);

function toPagedMessages(roomId: string, values: HistoryJson, parts: readonly MessagePart[] = []): PagedMessage[] {
  const has = messageParts.map((part) => parts.includes(part));
  return (values ?? []).map((json) => {
    const message: Message & { -readonly [Part in MessagePart]?: MessageParts[Part] } = messageRow.decodeJson(json, {
      roomId,
    });
    if (has[0]) message.sender = { id: message.senderId, name: messageRow.restOfJson(json, 0) };
    if (has[1]) message.readCount = messageRow.restOfJson(json, 1) ?? 0;
    if (has[2]) message.unreadMemberCount = messageRow.restOfJson(json, 2) ?? 0;
    return message;
  });
}

/** A message, and how many messages before and after it make a page. */
export interface AroundRequest {
  readonly messageId: string;
  readonly older: number;
  readonly newer: number;
  readonly parts?: readonly MessagePart[] | undefined;
}

/**
 * Reads the message with those around it, oldest first, in one statement; null if the user is not a member now, or the message
 * is not one of the room.
 */
export async function pageAround(
  { reads }: Database,
  roomId: string,
  userId: number | null,
  { messageId, older, newer, parts = [] }: AroundRequest,
): Promise<Page<PagedMessage> | null> {
  const messages = Prisma.sql`
    (SELECT c.* FROM chat_messages c WHERE c.room_id = me.room_id AND c.seq < middle.seq
     ORDER BY c.seq DESC LIMIT ${older + 1}::int)
    UNION ALL
    (SELECT c.* FROM chat_messages c WHERE c.room_id = me.room_id AND c.seq >= middle.seq
     ORDER BY c.seq ASC LIMIT ${newer + 2}::int)`;
  const rows = await reads.query<{ history: HistoryJson }>`
    SELECT ${messagesJson('me.room_id', messages, parts)} AS history
    FROM ${membershipOf(userId)} JOIN chat_messages middle ON middle.room_id = me.room_id AND middle.id = ${messageId}::uuid
    WHERE me.room_id = ${roomId}::uuid`;
  if (rows[0] === undefined) return null;
  const found = toPagedMessages(roomId, rows[0].history, parts).sort((a, b) => a.seq - b.seq);
  const place = found.findIndex(({ id }) => id === messageId);
  const [first, end] = [Math.max(0, place - older), place + newer + 1];
  return { rows: found.slice(first, end), hasPreviousPage: first > 0, hasNextPage: end < found.length };
}

/** The read marks of each room's members, read once for all messages. */
const readMarks = (isRoom: Prisma.Sql, lists: readonly Prisma.Sql[]): Prisma.Sql => Prisma.sql`marks AS MATERIALIZED (
    SELECT m.room_id, array_agg(m.user_id) AS user_ids, ${Prisma.join(lists)}
    FROM chat_room_members m WHERE m.room_id ${isRoom} AND ${isPresent('m')} GROUP BY m.room_id
  )`;

/** Authors are confirmed because they have written here; the actor of a SYSTEM entry may not be. */
const nameOfSender = Prisma.sql`CASE WHEN c.type = 'SYSTEM' AND EXISTS (
    SELECT FROM chat_room_members m WHERE m.room_id = c.room_id AND m.user_id = c.sender_id AND NOT m.is_confirmed
  ) THEN NULL ELSE (SELECT u.name FROM chat_users u WHERE u.id = c.sender_id) END`;

/** A number of members for each message c, by a binary search in the sorted marks of its room. */
interface CountByMarks {
  /** The lists of marks that it needs. */
  readonly marks: Prisma.Sql;
  readonly sql: Prisma.Sql;
}

/** The number of `readersOfMessage`: all marks except those below the message and its author's own. */
const readCount: CountByMarks = {
  marks: Prisma.sql`array_agg(m.last_read_seq) AS seqs, array_agg(m.last_read_seq ORDER BY m.last_read_seq) AS ascending`,
  sql: Prisma.sql`(
    SELECT cardinality(marks.ascending) - width_bucket(c.seq - 1, marks.ascending)
      - coalesce((marks.seqs[array_position(marks.user_ids, c.sender_id)] >= c.seq)::int, 0)
    FROM marks WHERE marks.room_id = c.room_id)`,
};

/**
 * The number of members other than the author who could have read the message and have not. Messages from before a member joined
 * are their history: they are below their floor.
 */
const unreadMemberCount: CountByMarks = {
  marks: Prisma.sql`array_agg(greatest(m.last_read_seq, m.joined_seq)) AS floors,
      array_agg(greatest(m.last_read_seq, m.joined_seq) ORDER BY greatest(m.last_read_seq, m.joined_seq)) AS ascending_floors`,
  sql: Prisma.sql`(
    SELECT width_bucket(c.seq - 1, marks.ascending_floors)
      - coalesce((marks.floors[array_position(marks.user_ids, c.sender_id)] < c.seq)::int, 0)
    FROM marks WHERE marks.room_id = c.room_id)`,
};

/** Reads each part of message c. */
const sqlOfPart: Readonly<Record<MessagePart, Prisma.Sql>> = {
  sender: nameOfSender,
  readCount: readCount.sql,
  unreadMemberCount: unreadMemberCount.sql,
};

/** The fields of a message that determine its readers. */
export type ReadPosition = Pick<Message, 'id' | 'roomId' | 'seq' | 'senderId'>;

/** A message as one user sees it. */
export interface MessageOfUser {
  readonly message: ReadPosition;
  readonly userId: number;
}

/** The requested messages, each with those of its viewers who are members of its room now. */
const askedMessages = (asked: readonly MessageOfUser[]): Prisma.Sql => Prisma.sql`
  SELECT a.id, a.room_id, a.seq, a.sender_id, array_agg(me.user_id) AS viewer_ids
  FROM unnest(
    ${asked.map(({ message }) => message.id)}::uuid[], ${asked.map(({ message }) => message.roomId)}::uuid[],
    ${asked.map(({ message }) => message.seq)}::int[], ${asked.map(({ message }) => message.senderId)}::int[],
    ${asked.map(({ userId }) => userId)}::int[]
  ) AS a(id, room_id, seq, sender_id, viewer_id)
  JOIN chat_room_members me ON me.room_id = a.room_id AND me.user_id = a.viewer_id AND ${isPresent('me')}
  GROUP BY a.id, a.room_id, a.seq, a.sender_id`;

/** Members other than the author whose read mark is at or past the message. */
const readersOfMessage = Prisma.sql`
  chat_room_members m
  WHERE m.room_id = c.room_id AND ${isPresent('m')} AND m.user_id <> c.sender_id AND m.last_read_seq >= c.seq`;

export const countReaders = (db: Database, asked: readonly MessageOfUser[]) => countMembers(db, asked, readCount);

export const countUnreadMembers = (db: Database, asked: readonly MessageOfUser[]) =>
  countMembers(db, asked, unreadMemberCount);

async function countMembers(
  { reads }: Database,
  asked: readonly MessageOfUser[],
  { marks, sql }: CountByMarks,
): Promise<View<MessageOfUser, number>> {
  const rows = await reads.query<{ id: string; viewer_ids: number[]; count: number }>`
    WITH c AS MATERIALIZED (${askedMessages(asked)}), ${readMarks(Prisma.sql`= ANY(ARRAY(SELECT room_id FROM c))`, [marks])}
    SELECT c.id, c.viewer_ids, ${sql} AS count FROM c`;
  return ofMessages(rows, ({ count }) => count);
}

export interface MessageReader {
  readonly userId: number;
  readonly readAt: Date;
}

/** Finds when each reader's mark first reached the message, the earliest first. */
export async function findReaders(
  { reads }: Database,
  asked: readonly MessageOfUser[],
): Promise<View<MessageOfUser, MessageReader[]>> {
  // In JSON: the driver takes ten times as long to read an array of times.
  const rows = await reads.query<{ id: string; viewer_ids: number[]; readers: ReaderJson[] | null }>`
    SELECT c.id, c.viewer_ids, r.readers FROM (${askedMessages(asked)}) AS c CROSS JOIN LATERAL (
      SELECT json_agg(json_build_array(f.user_id, date_part('epoch', f.read_at)) ORDER BY f.read_at, f.user_id) AS readers
      FROM (
        SELECT m.user_id, coalesce(
          (SELECT d.read_at FROM message_reads d
           WHERE d.room_id = c.room_id AND d.user_id = m.user_id AND d.seq >= c.seq ORDER BY d.seq LIMIT 1),
          m.last_read_at, m.joined_at) AS read_at
        FROM ${readersOfMessage}
      ) f
    ) r`;
  return ofMessages(rows, ({ readers }) =>
    (readers ?? []).map(([userId, seconds]) => ({ userId, readAt: toTime(seconds) })),
  );
}

type ReaderJson = readonly [userId: number, seconds: number];

function ofMessages<Row extends { readonly id: string; readonly viewer_ids: readonly number[] }, Value>(
  rows: readonly Row[],
  toValue: (row: Row) => Value,
): View<MessageOfUser, Value> {
  const byId = new Map(rows.map((row) => [row.id, { viewerIds: new Set(row.viewer_ids), value: toValue(row) }]));
  return ({ message, userId }) => {
    const known = byId.get(message.id);
    return known?.viewerIds.has(userId) === true ? known.value : undefined;
  };
}
