import type { Message } from '../domain/message.js';
import { decodeCursor, encodeCursor, type Page, type PageRequest, toPage } from '../domain/page.js';
import type { Member } from '../domain/room-log.js';
import type { Database } from './database.js';
import { type ChatRoom, Prisma, type RoomType } from './generated/prisma/client.js';
import { type MemberRow, type MessageRow, memberColumns, messageColumns, toMember, toMessage } from './rows.js';

export type Room = ChatRoom;

const roomColumns = Prisma.raw(
  `r.id, r.name, r.type, r.booking_id AS "bookingId", r.direct_key AS "directKey", r.seq,
   r.published_seq AS "publishedSeq", r.booking_version AS "bookingVersion", r.cancelled_at AS "cancelledAt",
   r.created_at AS "createdAt", r.updated_at AS "updatedAt"`,
);

/**
 * The rooms that the user is in at this very moment, as `me`. Whoever holds a room or a message may have been removed
 * since, and what is loaded for it then must tell nothing of what came later. Without a user: all rooms.
 */
export const membershipOf = (userId: number | null): Prisma.Sql =>
  userId === null
    ? Prisma.sql`(SELECT id AS room_id FROM chat_rooms) AS me`
    : Prisma.sql`(SELECT room_id FROM chat_room_members WHERE user_id = ${userId}::int AND left_at IS NULL) AS me`;

/** The room where the user is a member of it now, or null. */
export async function findRoom({ reads }: Database, roomId: string, userId: number | null): Promise<Room | null> {
  const rows = await reads.$queryRaw<Room[]>`
    SELECT ${roomColumns} FROM chat_rooms r JOIN ${membershipOf(userId)} ON me.room_id = r.id
    WHERE r.id = ${roomId}::uuid`;
  return rows[0] ?? null;
}

export async function findBookingRoom(db: Database, bookingId: number, userId: number): Promise<Room | null> {
  return db.reads.chatRoom.findFirst({ where: { bookingId, members: { some: { userId, leftAt: null } } } });
}

/** Those of the rooms that the user is a member of now, in no particular order. */
export const findRooms = ({ reads }: Database, roomIds: readonly string[], userId: number): Promise<Room[]> =>
  reads.$queryRaw<Room[]>`
    SELECT ${roomColumns} FROM chat_rooms r JOIN ${membershipOf(userId)} ON me.room_id = r.id
    WHERE r.id = ANY(${roomIds}::uuid[])`;

/** Nothing fits that PostgreSQL could not read as a time and an id. */
const roomCursor = /^(\d{1,14}) ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;
export const cursorOfRoom = ({ id, updatedAt }: Room): string => encodeCursor('room', updatedAt.getTime(), id);

/** The user's rooms, newest activity first. */
export async function pageRooms(
  { reads }: Database,
  userId: number,
  page: PageRequest,
  type: RoomType | undefined,
): Promise<Page<Room>> {
  const [millis, id] = page.after === undefined ? [] : decodeCursor('room', page.after, roomCursor);
  const time = millis === undefined ? undefined : new Date(Number(millis)).toISOString();
  const rows = await reads.$queryRaw<Room[]>`
    SELECT ${roomColumns} FROM chat_room_members m JOIN chat_rooms r ON r.id = m.room_id
    WHERE m.user_id = ${userId}::int AND m.left_at IS NULL
      AND (${type ?? null}::chat_room_type IS NULL OR r.type = ${type ?? null}::chat_room_type)
      AND (${time ?? null}::timestamptz IS NULL
           OR (r.updated_at, r.id) < (${time ?? null}::timestamptz, ${id ?? null}::uuid))
    ORDER BY r.updated_at DESC, r.id DESC LIMIT ${page.count + 1}::int`;
  return toPage(rows, page);
}

/** Where the room's log stands, and whether the user is a member, as of one moment. Null unless both are there. */
export async function findMemberHead(db: Database, roomId: string, userId: number): Promise<number | null> {
  const rows = await db.replay(
    (prisma) => prisma.$queryRaw<{ seq: number }[]>`
      SELECT r.seq FROM chat_rooms r JOIN chat_room_members m ON m.room_id = r.id
      WHERE r.id = ${roomId}::uuid AND m.user_id = ${userId}::int AND m.left_at IS NULL`,
  );
  return rows[0]?.seq ?? null;
}

/** Whether the user is a member of the room now. */
export async function isMember({ writes }: Database, roomId: string, userId: number): Promise<boolean> {
  const [row] = await writes.$queryRaw<{ yes: boolean }[]>`
    SELECT chat_is_member(${roomId}::uuid, ${userId}::int) AS yes`;
  return row?.yes === true;
}

/** The user's memberships in those of the rooms that they are in now. */
export async function findMemberships(
  { reads }: Database,
  roomIds: readonly string[],
  userId: number,
): Promise<Member[]> {
  const rows = await reads.$queryRaw<MemberRow[]>`
    SELECT ${memberColumns('m')} FROM chat_room_members m
    WHERE m.room_id = ANY(${roomIds}::uuid[]) AND m.user_id = ${userId}::int AND m.left_at IS NULL`;
  return rows.map(toMember);
}

/** Everybody who is or, with `includeLeft`, ever was in one of the user's rooms; the longest member first. */
export async function findMembers(
  { reads }: Database,
  roomIds: readonly string[],
  userId: number | null,
  includeLeft: boolean,
): Promise<Member[]> {
  const rows = await reads.$queryRaw<MemberRow[]>`
    SELECT ${memberColumns('m')} FROM chat_room_members m JOIN ${membershipOf(userId)} ON me.room_id = m.room_id
    WHERE m.room_id = ANY(${roomIds}::uuid[]) AND (${includeLeft}::boolean OR m.left_at IS NULL)
    ORDER BY m.joined_seq, m.user_id`;
  return rows.map(toMember);
}

export async function countMembers(
  { reads }: Database,
  roomIds: readonly string[],
  userId: number,
): Promise<Map<string, number>> {
  const rows = await reads.$queryRaw<{ id: string; count: number }[]>`
    SELECT m.room_id AS id, count(*)::int AS count
    FROM chat_room_members m JOIN ${membershipOf(userId)} ON me.room_id = m.room_id
    WHERE m.room_id = ANY(${roomIds}::uuid[]) AND m.left_at IS NULL GROUP BY m.room_id`;
  return new Map(rows.map(({ id, count }) => [id, count]));
}

const maxNamesInTitle = 10;

/** What to call a room without a name: its other members, the longest first; ten at most, the rest as a number. */
export async function nameByMembers(
  { reads }: Database,
  roomIds: readonly string[],
  userId: number,
): Promise<Map<string, string>> {
  const rows = await reads.$queryRaw<{ id: string; title: string }[]>`
    SELECT r.id, coalesce(o.names || CASE WHEN o.total > ${maxNamesInTitle}::int
        THEN ' 외 ' || o.total - ${maxNamesInTitle}::int || '명' ELSE '' END, chat_shown_name(${userId}::int)) AS title
    FROM unnest(${roomIds}::uuid[]) AS r(id) JOIN ${membershipOf(userId)} ON me.room_id = r.id CROSS JOIN LATERAL (
      SELECT max(n.total) AS total, string_agg(n.name, ', ' ORDER BY n.place) AS names FROM (
        SELECT coalesce(u.name, '#' || u.id) AS name, count(*) OVER () AS total,
               row_number() OVER (ORDER BY m.joined_seq, m.user_id) AS place
        FROM chat_room_members m JOIN chat_users u ON u.id = m.user_id
        WHERE m.room_id = r.id AND m.left_at IS NULL AND m.user_id <> ${userId}::int
        ORDER BY m.joined_seq, m.user_id LIMIT ${maxNamesInTitle}::int
      ) n
    ) o`;
  return new Map(rows.map(({ id, title }) => [id, title]));
}

/** The newest message of each room that is not deleted; rooms without one, or without this member, are left out. */
export async function findLastMessages(
  { reads }: Database,
  roomIds: readonly string[],
  userId: number | null,
): Promise<Message[]> {
  const rows = await reads.$queryRaw<MessageRow[]>`
    SELECT ${messageColumns('l')} FROM ${membershipOf(userId)} CROSS JOIN LATERAL (
      SELECT * FROM chat_messages m WHERE m.room_id = me.room_id AND m.deleted_at IS NULL ORDER BY m.seq DESC LIMIT 1
    ) l
    WHERE me.room_id = ANY(${roomIds}::uuid[])`;
  return rows.map(toMessage);
}

/** What counts as unread by member m: from others, neither SYSTEM nor deleted, after the read mark and the joining. */
const unreadOfMember = Prisma.sql`(
  SELECT count(*) FROM chat_messages c
  WHERE c.room_id = m.room_id AND c.seq > greatest(m.last_read_seq, m.joined_seq)
    AND c.sender_id <> m.user_id AND c.type <> 'SYSTEM' AND c.deleted_at IS NULL)`;

export async function countUnread(
  { reads }: Database,
  roomIds: readonly string[],
  userId: number,
): Promise<Map<string, number>> {
  const rows = await reads.$queryRaw<{ id: string; unread: number }[]>`
    SELECT m.room_id AS id, ${unreadOfMember}::int AS unread FROM chat_room_members m
    WHERE m.room_id = ANY(${roomIds}::uuid[]) AND m.user_id = ${userId}::int AND m.left_at IS NULL`;
  return new Map(rows.map(({ id, unread }) => [id, unread]));
}

export async function countAllUnread({ reads }: Database, userId: number): Promise<number> {
  const [row] = await reads.$queryRaw<{ unread: number }[]>`
    SELECT coalesce(sum(${unreadOfMember}), 0)::int AS unread FROM chat_room_members m
    WHERE m.user_id = ${userId}::int AND m.left_at IS NULL`;
  return row?.unread ?? 0;
}
