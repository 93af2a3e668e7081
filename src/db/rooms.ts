import type { Message } from '../domain/message.js';
import { decodeCursor, encodeCursor, type Page, type PageRequest, toPage } from '../domain/page.js';
import type { Queries } from './connection.js';
import type { Database } from './database.js';
import { Prisma, type RoomType } from './generated/prisma/client.js';
import { type KnownMember, type MemberDetail, type MemberJson, type MemberRow, memberRow } from './member-row.js';
import { type MemberPage, memberPageJson, toMemberPage } from './members.js';
import { isPresent } from './membership.js';
import { type HistoryJson, type HistoryRequest, historyJson, type PagedMessage, toHistory } from './messages.js';
import {
  countMembersOf,
  firstUnreadMessage,
  lastMessage,
  listMembersOf,
  ownMember,
  type Part,
  title,
  unreadCount,
} from './room-parts.js';
import { type RoomJson, type RoomRow, roomRow, type StoredRoom } from './room-row.js';

/** The parts that can be read with a room, as its reader sees them. */
export interface RoomParts {
  /** The name, or the names of the other members. */
  readonly title: string;
  readonly unreadCount: number;
  readonly memberCount: number;
  readonly lastMessage: Message | null;
  /** The oldest message that counts in `unreadCount`. */
  readonly firstUnreadMessage: Message | null;
  /** The longest member first. */
  readonly members: readonly KnownMember[];
  readonly viewerMember: KnownMember;
}
export type RoomPart = keyof RoomParts;
export const roomParts = [
  'title',
  'unreadCount',
  'memberCount',
  'lastMessage',
  'firstUnreadMessage',
  'members',
  'viewerMember',
] as const satisfies readonly RoomPart[];

/** The parts of rooms that are selected, in addition to their own columns. */
export interface RoomSelection {
  readonly parts: readonly RoomPart[];
  /** The details of the members among the parts. */
  readonly memberDetails: readonly MemberDetail[];
  /** If all rooms together have more members, the members are not read; unlimited if absent. */
  readonly maxMembers?: number | undefined;
  /** A page of the messages of each room. */
  readonly history?: HistoryRequest | undefined;
  /** A page of the members of each room. */
  readonly memberPage?: MemberPage | undefined;
}
export const noParts = { parts: [], memberDetails: [] } as const satisfies RoomSelection;

export interface Room extends StoredRoom {
  readonly preloaded?: Preloaded;
}

/** The parts that were read with a room; members and messages as selected. */
type Preloaded = Partial<RoomParts & RoomPages>;

interface RoomPages {
  readonly history: History;
  readonly memberPage: { readonly request: MemberPage; readonly page: Page<KnownMember> };
}

/** A page of the room's messages, and the request for it. */
interface History {
  readonly request: PageRequest<number>;
  readonly page: Page<PagedMessage>;
}

/** Resolves with the room and the selection, in one statement; null if the user is not a member now. */
export const findRoom = (
  db: Database,
  roomId: string,
  userId: number,
  selection: RoomSelection,
): Promise<Room | null> => findRoomBy(db.reads, roomId, userId, selection);

/** The same inside a transaction, whose changes it sees. */
export const findRoomBy = (
  queries: Queries,
  roomId: string,
  userId: number,
  selection: RoomSelection,
): Promise<Room | null> => findOne(queries, Prisma.sql`r.id = ${roomId}::uuid`, userId, selection);

/**
 * Resolves with the room for a former member, as of a moment when they were in it: the fields that never change, their own
 * membership, and nothing else. Null if they never were a member.
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
  const nothing = {
    title: '',
    members: [],
    memberCount: 0,
    unreadCount: 0,
    lastMessage: null,
    firstUnreadMessage: null,
  };
  return {
    ...room,
    name: null,
    imageUrl: null,
    seq,
    updatedAt: at,
    cancelledAt: cancelledAt !== null && cancelledAt <= at ? cancelledAt : null,
    preloaded: { ...nothing, viewerMember: memberRow.decode(row) },
  };
}

/** The same for the room of a booking. */
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

/** Only matches texts that PostgreSQL can read as a time and an id. */
const roomCursor = /^(\d{1,14}) ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;
/** @throws {ChatError} BAD_USER_INPUT if it is not a cursor of rooms */
export const assertRoomCursor = (cursor: string): void => void decodeCursor('room', cursor, roomCursor);
export const cursorOfRoom = ({ id, updatedAt }: Room): string => encodeCursor('room', updatedAt.getTime(), id);

/**
 * Reads a page of the user's rooms with the selection, newest activity first, in one statement. Walks the index of
 * `listed_at`, the minute of `updated_at`, and sorts only the rooms of one minute: an index of `updated_at` would have to
 * move with every message.
 */
export async function pageRooms(
  db: Database,
  userId: number,
  page: PageRequest,
  type: RoomType | undefined,
  selection: RoomSelection,
): Promise<Page<Room>> {
  const cursor = page.after === undefined ? undefined : decodeCursor('room', page.after, roomCursor);
  const newest = Prisma.sql`
    SELECT * FROM (
      SELECT r.*, m AS membership FROM chat_room_members m JOIN chat_rooms r ON r.id = m.room_id
      WHERE m.user_id = ${userId}::int AND ${isPresent('m')}
        ${type === undefined ? Prisma.empty : Prisma.sql`AND r.type = ${type}::chat_room_type`}
        ${cursor === undefined ? Prisma.empty : isBehind(cursor)}
      ORDER BY r.listed_at DESC, r.updated_at DESC, r.id DESC LIMIT ${roundLimit(page.count + 1)}
    ) newest LIMIT ${page.count + 1}::int`;
  return toPage(await selectRooms(db.reads, userId, newest, selection), page);
}

const minuteMs = 60_000;

/** Whether room r comes after the cursor. Its minute is where the walk begins. */
function isBehind([millis, id]: readonly string[]): Prisma.Sql {
  const time = Number(millis);
  const [minute, exact] = [time - (time % minuteMs), time].map((ms) => new Date(ms).toISOString());
  return Prisma.sql`AND r.listed_at <= ${minute}::timestamptz AND (r.updated_at, r.id) < (${exact}::timestamptz, ${id}::uuid)`;
}

/**
 * Reads rooms with the selection, newest activity first.
 * @param found - a query of the rooms as `r.*`, each with its reader's membership
 */
async function selectRooms(
  queries: Queries,
  userId: number,
  found: Prisma.Sql,
  selection: RoomSelection,
): Promise<Room[]> {
  const { history, memberPage: page } = selection;
  const members = page && { page, details: selection.memberDetails };
  const parts: Readonly<Record<RoomPart, Part<never, unknown>>> = partsOf(selection);
  const names = selection.parts;
  const columns = names.map((name) => Prisma.sql`, ${parts[name].sql('r.id')} AS ${Prisma.raw(`"${name}"`)}`);
  if (history !== undefined) columns.push(Prisma.sql`, ${historyJson('r.id', history)} AS messages`);
  if (members !== undefined) columns.push(Prisma.sql`, ${memberPageJson('r.id', members)} AS "memberPage"`);
  const joins = names.flatMap((name) => parts[name].join?.(Prisma.sql`SELECT id FROM page`, 'r.id') ?? []);
  const rows = await queries.query<SelectedRow>`
    WITH page AS MATERIALIZED (${found})
    SELECT ${roomRow.select('r')} ${concat(columns)}
    FROM page r CROSS JOIN LATERAL (SELECT (r.membership).*) m ${concat(joins)}`;
  const toPreloaded = (row: SelectedRow): Preloaded => {
    const preloaded: { [Name in RoomPart | keyof RoomPages]?: unknown } = {};
    for (const name of names) {
      const value = parts[name].read(row[name] as never, row.id)(userId);
      if (value !== undefined) preloaded[name] = value;
    }
    if (history !== undefined) {
      preloaded.history = { request: history.page, page: toHistory(row.id, row.messages ?? null, history) };
    }
    if (members !== undefined) {
      const read = toMemberPage(row.memberPage ?? null, { roomId: row.id, userId }, members);
      preloaded.memberPage = { request: members.page, page: read };
    }
    return preloaded as Preloaded;
  };
  // Sorted here: PostgreSQL would move megabytes of messages and members through its sort.
  return rows.sort(byActivity).map((row) => ({ ...roomRow.decode(row), preloaded: toPreloaded(row) }));
}

const concat = (fragments: readonly Prisma.Sql[]): Prisma.Sql =>
  fragments.length === 0 ? Prisma.empty : Prisma.join(fragments, ' ');

const byActivity = (a: RoomRow, b: RoomRow): number => b.updatedAt - a.updatedAt || (a.id < b.id ? 1 : -1);

/**
 * The next larger of a few limits, as a literal. PostgreSQL assumes that a parameter limits the rows to a tenth; for a user
 * with 5,000 rooms it would plan every list again, which takes as long as the list, instead of keeping a plan.
 */
const roundLimit = (limit: number): Prisma.Sql => Prisma.raw(String(4 ** Math.ceil(Math.log(limit) / Math.log(4))));

/** The parts of room r for the reader with membership m. */
export const partsOf = ({ memberDetails: details, maxMembers: max }: RoomSelection) =>
  ({
    unreadCount,
    memberCount: countMembersOf(isPresent),
    lastMessage,
    firstUnreadMessage,
    members: listMembersOf(isPresent, { details, max }),
    viewerMember: ownMember(details),
    // A room with a name needs no title from its members.
    title: { ...title, sql: (room) => Prisma.sql`CASE WHEN r.name IS NULL THEN ${title.sql(room)} END` },
  }) satisfies { readonly [Name in RoomPart]: Part<never, RoomParts[Name]> };

type SelectedRow = RoomRow & { readonly [Name in RoomPart]?: unknown } & {
  readonly messages?: HistoryJson;
  readonly memberPage?: readonly MemberJson[] | null;
};

/** Counts unread messages over all rooms that the user is in now. */
export async function countAllUnread({ reads }: Database, userId: number): Promise<number> {
  const [row] = await reads.query<{ unread: number }>`
    SELECT coalesce(sum(${unreadCount.sql('m.room_id')}), 0)::int AS unread FROM chat_room_members m
    WHERE m.user_id = ${userId}::int AND ${isPresent('m')}`;
  return row?.unread ?? 0;
}
