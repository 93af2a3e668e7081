import type { Message } from '../domain/message.js';
import { decodeCursor, encodeCursor, type Page, type PageRequest, toPage } from '../domain/page.js';
import type { Database } from './database.js';
import { Prisma } from './generated/prisma/client.js';
import { membershipOf } from './rooms.js';
import { type MessageRow, messageColumns, toMessage } from './rows.js';

/** The message where the user is a member of its room now, or null. */
export async function findMessage({ reads }: Database, id: string, userId: number | null): Promise<Message | null> {
  const rows = await reads.$queryRaw<MessageRow[]>`
    SELECT ${messageColumns('c')} FROM chat_messages c JOIN ${membershipOf(userId)} ON me.room_id = c.room_id
    WHERE c.id = ${id}::uuid`;
  return rows[0] === undefined ? null : toMessage(rows[0]);
}

export const cursorOfMessage = ({ roomId, seq }: Message): string => encodeCursor('message', roomId, seq);

/** Another room's cursors are refused: their positions mean nothing here. */
function seqOf(cursor: string | undefined, roomId: string, fallback: number): number {
  if (cursor === undefined) return fallback;
  return Number(decodeCursor('message', cursor, new RegExp(`^${roomId} (\\d{1,10})$`))[0]);
}

/** What of a history is passed over: deleted messages, and so many of the others at the page's start. */
export interface Omissions {
  readonly deleted: boolean;
  readonly skip: number;
}

/** A page of a room's history by seq, oldest first; empty where the user is no member at this very moment. */
export async function pageMessages(
  { reads }: Database,
  roomId: string,
  userId: number | null,
  page: PageRequest,
  { deleted, skip }: Omissions = { deleted: false, skip: 0 },
): Promise<Page<Message>> {
  const above = seqOf(page.after, roomId, 0);
  const below = seqOf(page.before, roomId, 2 ** 31);
  const rows = await reads.$queryRaw<MessageRow[]>`
    SELECT ${messageColumns('m')} FROM chat_messages m
    WHERE m.room_id = ${roomId}::uuid AND m.seq > ${above}::bigint AND m.seq < ${below}::bigint
      AND EXISTS (SELECT FROM ${membershipOf(userId)} WHERE me.room_id = ${roomId}::uuid)
      AND (m.deleted_at IS NULL OR NOT ${deleted}::boolean)
    ORDER BY m.seq ${page.backward ? Prisma.sql`DESC` : Prisma.sql`ASC`} OFFSET ${skip}::int LIMIT ${page.count + 1}::int`;
  return toPage(rows.map(toMessage), page);
}

/** What of a message decides who has read it. */
export type ReadPosition = Pick<Message, 'id' | 'roomId' | 'seq' | 'senderId'>;

const positions = (messages: readonly ReadPosition[]): Prisma.Sql => Prisma.sql`unnest(
  ${messages.map(({ id }) => id)}::uuid[], ${messages.map(({ roomId }) => roomId)}::uuid[],
  ${messages.map(({ seq }) => seq)}::int[], ${messages.map(({ senderId }) => senderId)}::int[]
) AS c(id, room_id, seq, sender_id)`;

/** Members other than the author whose read mark is at or past the message. */
const readersOfMessage = Prisma.sql`
  chat_room_members m
  WHERE m.room_id = c.room_id AND m.left_at IS NULL AND m.user_id <> c.sender_id AND m.last_read_seq >= c.seq`;

export async function countReaders(
  { reads }: Database,
  messages: readonly ReadPosition[],
  userId: number,
): Promise<Map<string, number>> {
  const rows = await reads.$queryRaw<{ id: string; count: number }[]>`
    SELECT c.id, (SELECT count(*) FROM ${readersOfMessage})::int AS count
    FROM ${positions(messages)} JOIN ${membershipOf(userId)} ON me.room_id = c.room_id`;
  return new Map(rows.map(({ id, count }) => [id, count]));
}

export interface Reader {
  readonly messageId: string;
  readonly userId: number;
  readonly readAt: Date;
}

/** When each reader's mark first stood at or past the message, the earliest first; of the user's rooms only. */
export async function findReaders(
  { reads }: Database,
  messages: readonly ReadPosition[],
  userId: number,
): Promise<Reader[]> {
  return reads.$queryRaw<Reader[]>`
    SELECT c.id AS "messageId", r.user_id AS "userId", r.read_at AS "readAt"
    FROM ${positions(messages)} JOIN ${membershipOf(userId)} ON me.room_id = c.room_id CROSS JOIN LATERAL (
      SELECT m.user_id, coalesce(
        (SELECT d.read_at FROM message_reads d
         WHERE d.room_id = c.room_id AND d.user_id = m.user_id AND d.seq >= c.seq ORDER BY d.seq LIMIT 1),
        m.last_read_at, m.joined_at) AS read_at
      FROM ${readersOfMessage}
    ) r
    ORDER BY r.read_at, r.user_id`;
}
