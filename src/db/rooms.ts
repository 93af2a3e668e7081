import type { Message } from '../domain/message.js';
import { decodeCursor, encodeCursor, type Page, type PageRequest, toPage } from '../domain/page.js';
import type { Database } from './database.js';
import { type ChatRoom, Prisma, type RoomType } from './generated/prisma/client.js';
import { type HistoryRequest, type HistoryValues, historyJson, type PagedMessage, toHistory } from './messages.js';
import {
  type KnownMember,
  type MemberDetail,
  MemberOfValues,
  type MemberValues,
  type MessageValues,
  memberJson,
  messageValues,
  seconds,
  toDate,
  toDateOrNull,
  toMessageOf,
} from './rows.js';

/** What of a room can be read along with it, as its reader is to see it. */
export interface RoomParts {
  readonly unreadCount: number;
  readonly memberCount: number;
  readonly lastMessage: Message | null;
  /** The longest member first. */
  readonly members: readonly KnownMember[];
  readonly viewerMember: KnownMember;
}
export type RoomPart = keyof RoomParts;
export const roomParts = [
  'unreadCount',
  'memberCount',
  'lastMessage',
  'members',
  'viewerMember',
] as const satisfies readonly RoomPart[];

/** What is asked for of rooms beside what they are themselves. */
export interface RoomSelection {
  readonly parts: readonly RoomPart[];
  /** Of those of its members that are among the parts. */
  readonly memberDetails: readonly MemberDetail[];
  /** A page of the messages of each. */
  readonly history?: HistoryRequest | undefined;
}
export const roomAlone = { parts: [], memberDetails: [] } as const satisfies RoomSelection;

/** What is told of a room; the rest is the booking system's and the outbox's. */
export type Room = Pick<
  ChatRoom,
  'id' | 'name' | 'type' | 'bookingId' | 'seq' | 'cancelledAt' | 'createdAt' | 'updatedAt'
> & { readonly along?: Along };

/** What has been read along with a room: of its members and messages, what was asked for. */
type Along = Partial<RoomParts & { readonly history: History }>;

/** A page of its messages, and which one that is. */
interface History {
  readonly request: PageRequest<number>;
  readonly page: Page<PagedMessage>;
}

/** A room's columns of the table that is `r` in the query. */
export const roomColumns = Prisma.raw(
  `r.id, r.name, r.type, r.booking_id, r.seq, ${seconds('r.cancelled_at')} AS cancelled_at,
   ${seconds('r.created_at')} AS created_at, ${seconds('r.updated_at')} AS updated_at`,
);

export interface RoomRow {
  readonly id: string;
  readonly name: string | null;
  readonly type: RoomType;
  readonly booking_id: number | null;
  readonly seq: number;
  readonly cancelled_at: number | null;
  readonly created_at: number;
  readonly updated_at: number;
}

export const toRoom = (row: RoomRow, along?: Along): Room => ({
  id: row.id,
  name: row.name,
  type: row.type,
  bookingId: row.booking_id,
  seq: row.seq,
  cancelledAt: toDateOrNull(row.cancelled_at),
  createdAt: toDate(row.created_at),
  updatedAt: toDate(row.updated_at),
  ...(along === undefined ? {} : { along }),
});

/** The room where the user is a member of it now, or null; with what is asked for, in one statement. */
export const findRoom = (
  db: Database,
  roomId: string,
  userId: number,
  selection: RoomSelection,
): Promise<Room | null> => findOne(db, Prisma.sql`r.id = ${roomId}::uuid`, userId, selection);

/** The same for a booking's room. */
export const findBookingRoom = (
  db: Database,
  bookingId: number,
  userId: number,
  selection: RoomSelection,
): Promise<Room | null> => findOne(db, Prisma.sql`r.booking_id = ${bookingId}::int`, userId, selection);

async function findOne(
  db: Database,
  which: Prisma.Sql,
  userId: number,
  selection: RoomSelection,
): Promise<Room | null> {
  const page = Prisma.sql`
    SELECT r.*, m AS membership FROM chat_room_members m JOIN chat_rooms r ON r.id = m.room_id
    WHERE ${which} AND m.user_id = ${userId}::int AND m.left_at IS NULL`;
  const [room] = await selectRooms(db, page, selection);
  return room ?? null;
}

/** Nothing fits that PostgreSQL could not read as a time and an id. */
const roomCursor = /^(\d{1,14}) ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;
export const cursorOfRoom = ({ id, updatedAt }: Room): string => encodeCursor('room', updatedAt.getTime(), id);

/** The user's rooms, newest activity first, with what is asked for: all in one statement. */
export async function pageRooms(
  db: Database,
  userId: number,
  page: PageRequest,
  type: RoomType | undefined,
  selection: RoomSelection,
): Promise<Page<Room>> {
  const [millis, id] = page.after === undefined ? [] : decodeCursor('room', page.after, roomCursor);
  const time = millis === undefined ? undefined : new Date(Number(millis)).toISOString();
  const newest = Prisma.sql`
    SELECT * FROM (
      SELECT r.*, m AS membership FROM chat_room_members m JOIN chat_rooms r ON r.id = m.room_id
      WHERE m.user_id = ${userId}::int AND m.left_at IS NULL
        ${type === undefined ? Prisma.empty : Prisma.sql`AND r.type = ${type}::chat_room_type`}
        ${time === undefined ? Prisma.empty : Prisma.sql`AND (r.updated_at, r.id) < (${time}::timestamptz, ${id}::uuid)`}
      ORDER BY r.updated_at DESC, r.id DESC LIMIT ${roundLimit(page.count + 1)}
    ) newest LIMIT ${page.count + 1}::int`;
  return toPage(await selectRooms(db, newest, selection), page);
}

/**
 * Rooms with what is asked for, newest activity first.
 * @param page - which rooms, as `r.*`, each with its reader's membership
 */
async function selectRooms({ reads }: Database, page: Prisma.Sql, selection: RoomSelection): Promise<Room[]> {
  const { parts, memberDetails, history } = selection;
  const columns = parts.map((part) => Prisma.sql`, ${partValues[part](memberDetails)} AS ${Prisma.raw(`"${part}"`)}`);
  if (history !== undefined) columns.push(Prisma.sql`, ${historyJson('r.id', history)} AS messages`);
  const rows = await reads.query<SelectedRow>`
    WITH page AS MATERIALIZED (${page})
    SELECT ${roomColumns} ${columns.length === 0 ? Prisma.empty : Prisma.join(columns, ' ')}
    FROM page r CROSS JOIN LATERAL (SELECT (r.membership).*) m
      ${parts.includes('members') ? membersOfPage(memberDetails) : Prisma.empty}`;
  // Sorted by PostgreSQL, megabytes of messages and members would go through its sort.
  return rows.sort(byActivity).map((row) => toSelected(row, selection));
}

const byActivity = (a: RoomRow, b: RoomRow): number => b.updated_at - a.updated_at || (a.id < b.id ? 1 : -1);

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
const partValues: Record<RoomPart, (details: readonly MemberDetail[]) => Prisma.Sql> = {
  unreadCount: () => Prisma.sql`${unreadOfMember}::int`,
  memberCount: () =>
    Prisma.sql`(SELECT count(*) FROM chat_room_members o WHERE o.room_id = r.id AND o.left_at IS NULL)::int`,
  lastMessage: () => Prisma.sql`(
    SELECT json_build_array(${messageValues('c')}) FROM chat_messages c
    WHERE c.room_id = r.id AND c.deleted_at IS NULL ORDER BY c.seq DESC LIMIT 1)`,
  members: () => Prisma.sql`everybody.members`,
  viewerMember: (details) => memberJson('m', '(SELECT u.name FROM chat_users u WHERE u.id = m.user_id)', details),
};

/** Sorted and put together for all rooms of the page at once: room by room it takes three times as long. */
const membersOfPage = (details: readonly MemberDetail[]): Prisma.Sql => Prisma.sql`LEFT JOIN (
  SELECT o.room_id, json_agg(o.member) AS members FROM (
    SELECT o.room_id, ${memberJson('o', 'u.name', details)} AS member
    FROM chat_room_members o JOIN chat_users u ON u.id = o.user_id
    WHERE o.room_id = ANY(ARRAY(SELECT id FROM page)) AND o.left_at IS NULL
    ORDER BY o.room_id, o.joined_seq, o.user_id
  ) o GROUP BY o.room_id
) everybody ON everybody.room_id = r.id`;

interface SelectedRow extends RoomRow {
  readonly unreadCount?: number;
  readonly memberCount?: number;
  readonly lastMessage?: MessageValues | null;
  readonly members?: readonly MemberValues[];
  readonly viewerMember?: MemberValues;
  readonly messages?: HistoryValues;
}

function toSelected(row: SelectedRow, { memberDetails, history }: RoomSelection): Room {
  const { id, lastMessage } = row;
  const toMember = (values: MemberValues) => new MemberOfValues(id, values, memberDetails);
  const along: { -readonly [Part in keyof Along]: Along[Part] } = {};
  if (row.unreadCount !== undefined) along.unreadCount = row.unreadCount;
  if (row.memberCount !== undefined) along.memberCount = row.memberCount;
  if (lastMessage !== undefined) along.lastMessage = lastMessage === null ? null : toMessageOf(id, lastMessage);
  if (row.members !== undefined) along.members = row.members.map(toMember);
  if (row.viewerMember !== undefined) along.viewerMember = toMember(row.viewerMember);
  if (history !== undefined) {
    along.history = { request: history.page, page: toHistory(id, row.messages ?? null, history) };
  }
  return toRoom(row, along);
}

/** Unread over all rooms that the user is in now. */
export async function countAllUnread({ reads }: Database, userId: number): Promise<number> {
  const [row] = await reads.query<{ unread: number }>`
    SELECT coalesce(sum(${unreadOfMember}), 0)::int AS unread FROM chat_room_members m
    WHERE m.user_id = ${userId}::int AND m.left_at IS NULL`;
  return row?.unread ?? 0;
}
