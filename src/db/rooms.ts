import type { Message } from '../domain/message.js';
import { decodeCursor, encodeCursor, type Page, type PageRequest, toPage } from '../domain/page.js';
import type { Member } from '../domain/room-log.js';
import type { Database } from './database.js';
import { type ChatRoom, Prisma, type RoomType } from './generated/prisma/client.js';
import { membershipOf } from './membership.js';
import {
  type KnownMember,
  MemberOfValues,
  type MemberValues,
  type MessageRow,
  memberJson,
  messageColumns,
  toMessage,
} from './rows.js';

/** What of a room can be read along with it, as its reader is to see it. */
export interface RoomParts {
  readonly unreadCount: number;
  readonly memberCount: number;
  readonly lastMessage: Message | null;
  /** The longest member first. */
  readonly members: readonly KnownMember[];
  readonly viewerMember: Member;
}
export type RoomPart = keyof RoomParts;

export type Room = ChatRoom & { readonly along?: Partial<RoomParts> };

/** A room's columns of the table that is `r` in the query. */
export const roomColumns = Prisma.raw(
  `r.id, r.name, r.type, r.booking_id AS "bookingId", r.direct_key AS "directKey", r.seq,
   r.published_seq AS "publishedSeq", r.booking_version AS "bookingVersion", r.name_version AS "nameVersion", r.cancelled_at AS "cancelledAt",
   r.created_at AS "createdAt", r.updated_at AS "updatedAt"`,
);

/** The room where the user is a member of it now, or null. */
export async function findRoom({ reads }: Database, roomId: string, userId: number | null): Promise<Room | null> {
  const rows = await reads.query<Room>`
    SELECT ${roomColumns} FROM chat_rooms r JOIN ${membershipOf(userId)} ON me.room_id = r.id
    WHERE r.id = ${roomId}::uuid`;
  return rows[0] ?? null;
}

export async function findBookingRoom(db: Database, bookingId: number, userId: number): Promise<Room | null> {
  return db.reads.prisma.chatRoom.findFirst({ where: { bookingId, members: { some: { userId, leftAt: null } } } });
}

/** Nothing fits that PostgreSQL could not read as a time and an id. */
const roomCursor = /^(\d{1,14}) ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;
export const cursorOfRoom = ({ id, updatedAt }: Room): string => encodeCursor('room', updatedAt.getTime(), id);

/** The user's rooms, newest activity first, with those parts: all in one statement. */
export async function pageRooms(
  { reads }: Database,
  userId: number,
  page: PageRequest,
  type: RoomType | undefined,
  parts: readonly RoomPart[],
): Promise<Page<Room>> {
  const [millis, id] = page.after === undefined ? [] : decodeCursor('room', page.after, roomCursor);
  const time = millis === undefined ? undefined : new Date(Number(millis)).toISOString();
  const rows = await reads.query<ChatRoom & PartsRow>`
    WITH page AS MATERIALIZED (
      SELECT * FROM (
        SELECT r.*, m AS membership FROM chat_room_members m JOIN chat_rooms r ON r.id = m.room_id
        WHERE m.user_id = ${userId}::int AND m.left_at IS NULL
          ${type === undefined ? Prisma.empty : Prisma.sql`AND r.type = ${type}::chat_room_type`}
          ${time === undefined ? Prisma.empty : Prisma.sql`AND (r.updated_at, r.id) < (${time}::timestamptz, ${id}::uuid)`}
        ORDER BY r.updated_at DESC, r.id DESC LIMIT ${roundLimit(page.count + 1)}
      ) newest LIMIT ${page.count + 1}::int
    )
    SELECT ${roomColumns} ${columnsOf(parts)}
    FROM page r CROSS JOIN LATERAL (SELECT (r.membership).*) m ${parts.includes('members') ? membersOfPage : Prisma.empty}
    ORDER BY r.updated_at DESC, r.id DESC`;
  return toPage(rows.map(toRoom), page);
}

/**
 * The next larger of a few limits, written out. A limit that is a parameter PostgreSQL takes for a tenth of all there is;
 * of a user's 5,000 rooms it would then plan every list anew, which takes as long as the list, rather than keep a plan.
 */
const roundLimit = (limit: number): Prisma.Sql => Prisma.raw(String(4 ** Math.ceil(Math.log(limit) / Math.log(4))));

/** What counts as unread by member m: from others, neither SYSTEM nor deleted, after the read mark and the joining. */
export const unreadOfMember = Prisma.sql`(
  SELECT count(*) FROM chat_messages c
  WHERE c.room_id = m.room_id AND c.seq > greatest(m.last_read_seq, m.joined_seq)
    AND c.sender_id <> m.user_id AND c.type <> 'SYSTEM' AND c.deleted_at IS NULL)`;

/** Each as one value, of the room r and its reader's membership m. */
const partValues: Record<RoomPart, Prisma.Sql> = {
  unreadCount: Prisma.sql`${unreadOfMember}::int`,
  memberCount: Prisma.sql`(SELECT count(*) FROM chat_room_members o WHERE o.room_id = r.id AND o.left_at IS NULL)::int`,
  lastMessage: Prisma.sql`(
    SELECT to_json(l) FROM (
      SELECT ${messageColumns('c')} FROM chat_messages c
      WHERE c.room_id = r.id AND c.deleted_at IS NULL ORDER BY c.seq DESC LIMIT 1) l)`,
  members: Prisma.sql`everybody.members`,
  viewerMember: memberJson('m', '(SELECT u.name FROM chat_users u WHERE u.id = m.user_id)'),
};

/** Sorted and put together for all rooms of the page at once: room by room it takes three times as long. */
const membersOfPage = Prisma.sql`LEFT JOIN (
  SELECT o.room_id, json_agg(o.member) AS members FROM (
    SELECT o.room_id, ${memberJson('o', 'u.name')} AS member
    FROM chat_room_members o JOIN chat_users u ON u.id = o.user_id
    WHERE o.room_id = ANY(ARRAY(SELECT id FROM page)) AND o.left_at IS NULL
    ORDER BY o.room_id, o.joined_seq, o.user_id
  ) o GROUP BY o.room_id
) everybody ON everybody.room_id = r.id`;

interface PartsRow {
  readonly unreadCount?: number;
  readonly memberCount?: number;
  readonly lastMessage?: MessageRow | null;
  readonly members?: readonly MemberValues[];
  readonly viewerMember?: MemberValues;
}

const columnsOf = (parts: readonly RoomPart[]): Prisma.Sql =>
  parts.length === 0
    ? Prisma.empty
    : Prisma.sql`, ${Prisma.join(parts.map((part) => Prisma.sql`${partValues[part]} AS ${Prisma.raw(`"${part}"`)}`))}`;

function toRoom(row: ChatRoom & PartsRow): Room {
  const along: { -readonly [Part in RoomPart]?: RoomParts[Part] } = {};
  if (row.unreadCount !== undefined) along.unreadCount = row.unreadCount;
  if (row.memberCount !== undefined) along.memberCount = row.memberCount;
  if (row.lastMessage !== undefined) along.lastMessage = row.lastMessage === null ? null : toMessage(row.lastMessage);
  if (row.members !== undefined) along.members = row.members.map((values) => new MemberOfValues(row.id, values));
  if (row.viewerMember !== undefined) along.viewerMember = new MemberOfValues(row.id, row.viewerMember);
  return Object.assign(row, { along });
}

/** Unread over all rooms that the user is in now. */
export async function countAllUnread({ reads }: Database, userId: number): Promise<number> {
  const [row] = await reads.query<{ unread: number }>`
    SELECT coalesce(sum(${unreadOfMember}), 0)::int AS unread FROM chat_room_members m
    WHERE m.user_id = ${userId}::int AND m.left_at IS NULL`;
  return row?.unread ?? 0;
}
