import type { Message } from '../domain/message.js';
import { decodeCursor, encodeCursor, type Page, type PageRequest, toPage } from '../domain/page.js';
import type { Queries } from './connection.js';
import type { Database } from './database.js';
import { Prisma, type RoomType } from './generated/prisma/client.js';
import {
  type KnownMember,
  type MemberDetail,
  type MemberJson,
  type MemberRow,
  memberJson,
  memberRow,
  toListedMember,
} from './member-row.js';
import { type MessageJson, messageRow } from './message-row.js';
import { type HistoryJson, type HistoryRequest, historyJson, type PagedMessage, toHistory } from './messages.js';
import { type RoomJson, type RoomRow, roomRow, type StoredRoom } from './room-row.js';

/** What of a room can be read along with it, as its reader is to see it. */
export interface RoomParts {
  /** The name, or what the other members make of it. */
  readonly title: string;
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
/** What is read along with a room by who has just changed it. The titles of a list are cheaper by themselves. */
export const changedRoomParts = [...roomParts, 'title'] as const satisfies readonly RoomPart[];

/** What is asked for of rooms beside what they are themselves. */
export interface RoomSelection {
  readonly parts: readonly RoomPart[];
  /** Of those of its members that are among the parts. */
  readonly memberDetails: readonly MemberDetail[];
  /** Where all rooms together have more members, these are not read along; without it, however many there are. */
  readonly maxMembers?: number | undefined;
  /** A page of the messages of each. */
  readonly history?: HistoryRequest | undefined;
}
export const roomAlone = { parts: [], memberDetails: [] } as const satisfies RoomSelection;

export interface Room extends StoredRoom {
  readonly along?: Along;
}

/** What has been read along with a room: of its members and messages, what was asked for. */
type Along = Partial<RoomParts & { readonly history: History }>;

/** A page of its messages, and which one that is. */
interface History {
  readonly request: PageRequest<number>;
  readonly page: Page<PagedMessage>;
}

/** The room where the user is a member of it now, or null; with what is asked for, in one statement. */
export const findRoom = (
  db: Database,
  roomId: string,
  userId: number,
  selection: RoomSelection,
): Promise<Room | null> => findRoomBy(db.reads, roomId, userId, selection);

/** The same by the statements of a transaction, as that has left it. */
export const findRoomBy = (
  queries: Queries,
  roomId: string,
  userId: number,
  selection: RoomSelection,
): Promise<Room | null> => findOne(queries, Prisma.sql`r.id = ${roomId}::uuid`, userId, selection);

/**
 * The room as of a moment when the user was in it, for who is not any more: what never changes of it, their own membership,
 * and of all else nothing. Null where they never were.
 */
export async function findFormerRoom(
  { reads }: Database,
  { roomId, userId }: { readonly roomId: string; readonly userId: number },
  { seq, at }: { readonly seq: number; readonly at: Date },
): Promise<Room | null> {
  const [row] = await reads.query<MemberRow & { room: RoomJson }>`
    SELECT ${memberRow.select('m')}, json_build_array(${roomRow.values('r')}) AS room FROM chat_room_members m JOIN chat_rooms r ON r.id = m.room_id
    WHERE m.room_id = ${roomId}::uuid AND m.user_id = ${userId}::int`;
  if (row === undefined) return null;
  const { cancelledAt, ...room } = roomRow.decodeJson(row.room, {});
  const nothing = { title: '', members: [], memberCount: 0, unreadCount: 0, lastMessage: null };
  return {
    ...room,
    name: null,
    seq,
    updatedAt: at,
    cancelledAt: cancelledAt !== null && cancelledAt <= at ? cancelledAt : null,
    along: { ...nothing, viewerMember: memberRow.decode(row) },
  };
}

/** The same for a booking's room. */
export const findBookingRoom = (
  db: Database,
  bookingId: number,
  userId: number,
  selection: RoomSelection,
): Promise<Room | null> => findOne(db.reads, Prisma.sql`r.booking_id = ${bookingId}::int`, userId, selection);

async function findOne(
  queries: Queries,
  which: Prisma.Sql,
  userId: number,
  selection: RoomSelection,
): Promise<Room | null> {
  const page = Prisma.sql`
    SELECT r.*, m AS membership FROM chat_room_members m JOIN chat_rooms r ON r.id = m.room_id
    WHERE ${which} AND m.user_id = ${userId}::int AND m.left_at IS NULL`;
  const [room] = await selectRooms(queries, userId, page, selection);
  return room ?? null;
}

/** Nothing fits that PostgreSQL could not read as a time and an id. */
const roomCursor = /^(\d{1,14}) ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;
/** @throws {ChatError} BAD_USER_INPUT where it is none */
export const assertRoomCursor = (cursor: string): void => void decodeCursor('room', cursor, roomCursor);
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
  return toPage(await selectRooms(db.reads, userId, newest, selection), page);
}

/**
 * Rooms with what is asked for, newest activity first.
 * @param page - which rooms, as `r.*`, each with its reader's membership
 */
async function selectRooms(
  queries: Queries,
  userId: number,
  page: Prisma.Sql,
  selection: RoomSelection,
): Promise<Room[]> {
  const { parts, memberDetails, maxMembers = maxInt, history } = selection;
  const columns = parts.map((part) => Prisma.sql`, ${partValues[part](memberDetails)} AS ${Prisma.raw(`"${part}"`)}`);
  if (history !== undefined) columns.push(Prisma.sql`, ${historyJson('r.id', history)} AS messages`);
  const rows = await queries.query<SelectedRow>`
    WITH page AS MATERIALIZED (${page})
    SELECT ${roomRow.select('r')} ${columns.length === 0 ? Prisma.empty : Prisma.join(columns, ' ')}
    FROM page r CROSS JOIN LATERAL (SELECT (r.membership).*) m
      ${parts.includes('members') ? membersOfPage(userId, memberDetails, maxMembers) : Prisma.empty}`;
  // Sorted by PostgreSQL, megabytes of messages and members would go through its sort.
  return rows.sort(byActivity).map((row) => toSelected(row, selection));
}

const byActivity = (a: RoomRow, b: RoomRow): number => b.updatedAt - a.updatedAt || (a.id < b.id ? 1 : -1);

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
    SELECT json_build_array(${messageRow.values('c')}) FROM chat_messages c
    WHERE c.room_id = r.id AND c.deleted_at IS NULL ORDER BY c.seq DESC LIMIT 1)`,
  members: () => Prisma.sql`everybody.members`,
  viewerMember: (details) =>
    memberJson('m', Prisma.sql`(SELECT u.name FROM chat_users u WHERE u.id = m.user_id)`, details),
  title: () => Prisma.sql`coalesce(r.name, (
    SELECT string_agg(chat_shown_member(r.id, o.user_id), ', ' ORDER BY o.place) FILTER (WHERE o.place <= ${maxNamesInTitle}::int)
      || CASE WHEN count(*) > ${maxNamesInTitle}::int THEN ' 외 ' || count(*) - ${maxNamesInTitle}::int || '명' ELSE '' END
    FROM (
      SELECT o.user_id, row_number() OVER (ORDER BY o.joined_seq, o.user_id) AS place
      FROM chat_room_members o WHERE o.room_id = r.id AND o.left_at IS NULL AND o.user_id <> m.user_id
    ) o), chat_shown_name(m.user_id))`,
};

/** Of a room without a name of its own; how many more there are is told as a number. */
export const maxNamesInTitle = 10;

const maxInt = 2 ** 31 - 1;

/**
 * Sorted and put together for all rooms of the page at once: room by room it takes three times as long. Where they are too
 * many, they are not even looked at, once as many have been counted.
 */
const membersOfPage = (
  userId: number,
  details: readonly MemberDetail[],
  maxMembers: number,
): Prisma.Sql => Prisma.sql`LEFT JOIN (
  SELECT o.room_id, json_agg(o.member) AS members FROM (
    SELECT o.room_id, ${memberJson('o', Prisma.sql`CASE WHEN o.is_confirmed OR o.user_id = ${userId}::int THEN u.name END`, details)} AS member
    FROM chat_room_members o JOIN chat_users u ON u.id = o.user_id
    WHERE o.room_id = ANY(ARRAY(SELECT id FROM page)) AND o.left_at IS NULL AND (
      SELECT count(*) <= ${maxMembers}::bigint FROM (
        SELECT FROM chat_room_members c WHERE c.room_id = ANY(ARRAY(SELECT id FROM page)) AND c.left_at IS NULL
        LIMIT ${maxMembers}::bigint + 1
      ) counted)
    ORDER BY o.room_id, o.joined_seq, o.user_id
  ) o GROUP BY o.room_id
) everybody ON everybody.room_id = r.id`;

interface SelectedRow extends RoomRow {
  readonly title?: string;
  readonly unreadCount?: number;
  readonly memberCount?: number;
  readonly lastMessage?: MessageJson | null;
  readonly members?: readonly MemberJson[] | null;
  readonly viewerMember?: MemberJson;
  readonly messages?: HistoryJson;
}

function toSelected(row: SelectedRow, { memberDetails, history }: RoomSelection): Room {
  const { id, lastMessage } = row;
  const toMember = (values: MemberJson) => toListedMember(id, values, memberDetails);
  const along: { -readonly [Part in keyof Along]: Along[Part] } = {};
  if (row.title !== undefined) along.title = row.title;
  if (row.unreadCount !== undefined) along.unreadCount = row.unreadCount;
  if (row.memberCount !== undefined) along.memberCount = row.memberCount;
  if (lastMessage !== undefined)
    along.lastMessage = lastMessage === null ? null : messageRow.decodeJson(lastMessage, { roomId: id });
  if (row.members != null) along.members = row.members.map(toMember);
  if (row.viewerMember !== undefined) along.viewerMember = toMember(row.viewerMember);
  if (history !== undefined) {
    along.history = { request: history.page, page: toHistory(id, row.messages ?? null, history) };
  }
  return { ...roomRow.decode(row), along };
}

/** Unread over all rooms that the user is in now. */
export async function countAllUnread({ reads }: Database, userId: number): Promise<number> {
  const [row] = await reads.query<{ unread: number }>`
    SELECT coalesce(sum(${unreadOfMember}), 0)::int AS unread FROM chat_room_members m
    WHERE m.user_id = ${userId}::int AND m.left_at IS NULL`;
  return row?.unread ?? 0;
}
