import { decodeCursor, encodeCursor, type Page, type PageRequest, toPage } from '../domain/page.js';
import type { Database } from './database.js';
import { type ChatRoom, Prisma, type RoomType } from './generated/prisma/client.js';

export type Room = ChatRoom;

/** A room's columns of the table that is `r` in the query. */
export const roomColumns = Prisma.raw(
  `r.id, r.name, r.type, r.booking_id AS "bookingId", r.direct_key AS "directKey", r.seq,
   r.published_seq AS "publishedSeq", r.booking_version AS "bookingVersion", r.name_version AS "nameVersion", r.cancelled_at AS "cancelledAt",
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

/** The user's rooms, newest activity first. */
export async function pageRooms(
  { reads }: Database,
  userId: number,
  page: PageRequest,
  type: RoomType | undefined,
): Promise<Page<Room>> {
  const [millis, id] = page.after === undefined ? [] : decodeCursor('room', page.after, roomCursor);
  const time = millis === undefined ? undefined : new Date(Number(millis)).toISOString();
  const rows = await reads.query<Room>`
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
    (connection) => connection.query<{ seq: number }>`
      SELECT r.seq FROM chat_rooms r JOIN chat_room_members m ON m.room_id = r.id
      WHERE r.id = ${roomId}::uuid AND m.user_id = ${userId}::int AND m.left_at IS NULL`,
  );
  return rows[0]?.seq ?? null;
}

/** Whether the user is a member of the room now. */
export async function isMember({ writes }: Database, roomId: string, userId: number): Promise<boolean> {
  const [row] = await writes.query<{ yes: boolean }>`
    SELECT chat_is_member(${roomId}::uuid, ${userId}::int) AS yes`;
  return row?.yes === true;
}

/** Unread over all rooms that the user is in now. */
export async function countAllUnread({ reads }: Database, userId: number): Promise<number> {
  const [row] = await reads.query<{ unread: number }>`
    SELECT coalesce(sum(${unreadOfMember}), 0)::int AS unread FROM chat_room_members m
    WHERE m.user_id = ${userId}::int AND m.left_at IS NULL`;
  return row?.unread ?? 0;
}

/** What counts as unread by member m: from others, neither SYSTEM nor deleted, after the read mark and the joining. */
export const unreadOfMember = Prisma.sql`(
  SELECT count(*) FROM chat_messages c
  WHERE c.room_id = m.room_id AND c.seq > greatest(m.last_read_seq, m.joined_seq)
    AND c.sender_id <> m.user_id AND c.type <> 'SYSTEM' AND c.deleted_at IS NULL)`;
