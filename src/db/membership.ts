import type { Database } from './database.js';
import { Prisma } from './generated/prisma/client.js';

/**
 * The rooms that the user is a member of now, as `me`; without a user, all rooms. A viewer of a room or a message may have
 * been removed since it was loaded, and must not see anything later.
 */
export const membershipOf = (userId: number | null): Prisma.Sql =>
  userId === null
    ? Prisma.sql`(SELECT id AS room_id FROM chat_rooms) AS me`
    : Prisma.sql`(SELECT m.room_id FROM chat_room_members m WHERE m.user_id = ${userId}::int AND ${isPresent('m')}) AS me`;

/** Whether the row of `chat_room_members` is that of a current member; former members keep theirs. */
export const isPresent = (member: string): Prisma.Sql => Prisma.raw(`${member}.left_at IS NULL`);

/** A room as one user sees it; null is the platform, which sees every room. */
export interface RoomOfUser {
  readonly roomId: string;
  readonly userId: number | null;
}

/** A user as a member of a room. */
export interface Membership {
  readonly roomId: string;
  readonly userId: number;
}

/** Resolves with whether each of the users is a member now, in the same order. */
export async function areMembers({ writes }: Database, asked: readonly Membership[]): Promise<boolean[]> {
  const rows = await writes.query<{ yes: boolean }>`
    SELECT m.user_id IS NOT NULL AS yes
    FROM unnest(${asked.map(({ roomId }) => roomId)}::uuid[], ${asked.map(({ userId }) => userId)}::int[])
      WITH ORDINALITY AS a(room_id, user_id, place)
    LEFT JOIN chat_room_members m ON m.room_id = a.room_id AND m.user_id = a.user_id AND ${isPresent('m')}
    ORDER BY a.place`;
  return rows.map(({ yes }) => yes);
}

/** Whether the user is a member of the room now. */
export async function isMember(db: Database, roomId: string, userId: number): Promise<boolean> {
  const [yes] = await areMembers(db, [{ roomId, userId }]);
  return yes === true;
}
