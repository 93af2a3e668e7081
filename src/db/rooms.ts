import type { Message } from '../domain/message.js';
import { decodeCursor, encodeCursor, type Page, type PageRequest, toPage } from '../domain/page.js';
import type { Queries } from './connection.js';
import type { Database } from './database.js';
import { Prisma, type RoomType } from './generated/prisma/client.js';
import { type KnownMember, type MemberDetail, type MemberRow, memberRow } from './member-row.js';
import { isPresent } from './membership.js';
import { type HistoryJson, type HistoryRequest, historyJson, type PagedMessage, toHistory } from './messages.js';
import { countMembersOf, lastMessage, listMembersOf, ownMember, type Part, title, unreadCount } from './room-parts.js';
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
export const noParts = { parts: [], memberDetails: [] } as const satisfies RoomSelection;

export interface Room extends StoredRoom {
  readonly preloaded?: Preloaded;
}

/** What has been read along with a room: of its members and messages, what was asked for. */
type Preloaded = Partial<RoomParts & { readonly history: History }>;

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
    preloaded: { ...nothing, viewerMember: memberRow.decode(row) },
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
    WHERE ${which} AND m.user_id = ${userId}::int AND ${isPresent('m')}`;
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
      WHERE m.user_id = ${userId}::int AND ${isPresent('m')}
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
  const { history } = selection;
  const parts: Readonly<Record<RoomPart, Part<never, unknown>>> = partsOf(selection);
  const names = selection.parts;
  const columns = names.map((name) => Prisma.sql`, ${parts[name].sql('r.id')} AS ${Prisma.raw(`"${name}"`)}`);
  if (history !== undefined) columns.push(Prisma.sql`, ${historyJson('r.id', history)} AS messages`);
  const joins = names.flatMap((name) => parts[name].join?.(Prisma.sql`SELECT id FROM page`, 'r.id') ?? []);
  const rows = await queries.query<SelectedRow>`
    WITH page AS MATERIALIZED (${page})
    SELECT ${roomRow.select('r')} ${concat(columns)}
    FROM page r CROSS JOIN LATERAL (SELECT (r.membership).*) m ${concat(joins)}`;
  const toPreloaded = (row: SelectedRow): Preloaded => {
    const preloaded: { [Name in RoomPart]?: unknown } & { history?: History } = {};
    for (const name of names) {
      const value = parts[name].read(row[name] as never, row.id)(userId);
      if (value !== undefined) preloaded[name] = value;
    }
    if (history !== undefined) {
      preloaded.history = { request: history.page, page: toHistory(row.id, row.messages ?? null, history) };
    }
    return preloaded as Preloaded;
  };
  // Sorted by PostgreSQL, megabytes of messages and members would go through its sort.
  return rows.sort(byActivity).map((row) => ({ ...roomRow.decode(row), preloaded: toPreloaded(row) }));
}

const concat = (fragments: readonly Prisma.Sql[]): Prisma.Sql =>
  fragments.length === 0 ? Prisma.empty : Prisma.join(fragments, ' ');

const byActivity = (a: RoomRow, b: RoomRow): number => b.updatedAt - a.updatedAt || (a.id < b.id ? 1 : -1);

/**
 * The next larger of a few limits, written out. A limit that is a parameter PostgreSQL takes for a tenth of all there is;
 * of a user's 5,000 rooms it would then plan every list anew, which takes as long as the list, rather than keep a plan.
 */
const roundLimit = (limit: number): Prisma.Sql => Prisma.raw(String(4 ** Math.ceil(Math.log(limit) / Math.log(4))));

/** Of the room r and its reader's membership m. */
const partsOf = ({ memberDetails: details, maxMembers: max }: RoomSelection) =>
  ({
    unreadCount,
    memberCount: countMembersOf(isPresent),
    lastMessage,
    members: listMembersOf(isPresent, { details, max }),
    viewerMember: ownMember(details),
    // A room with a name needs no other.
    title: { ...title, sql: (room) => Prisma.sql`CASE WHEN r.name IS NULL THEN ${title.sql(room)} END` },
  }) satisfies { readonly [Name in RoomPart]: Part<never, RoomParts[Name]> };

type SelectedRow = RoomRow & { readonly [Name in RoomPart]?: unknown } & { readonly messages?: HistoryJson };

/** Unread over all rooms that the user is in now. */
export async function countAllUnread({ reads }: Database, userId: number): Promise<number> {
  const [row] = await reads.query<{ unread: number }>`
    SELECT coalesce(sum(${unreadCount.sql('m.room_id')}), 0)::int AS unread FROM chat_room_members m
    WHERE m.user_id = ${userId}::int AND ${isPresent('m')}`;
  return row?.unread ?? 0;
}
