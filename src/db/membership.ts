import type { Database } from './database.js';
import { Prisma } from './generated/prisma/client.js';

/**
 * The rooms that the user is in at this very moment, as `me`. Whoever holds a room or a message may have been removed
 * since, and what is loaded for it then must tell nothing of what came later. Without a user: all rooms.
 */
export const membershipOf = (userId: number | null): Prisma.Sql =>
  userId === null
    ? Prisma.sql`(SELECT id AS room_id FROM chat_rooms) AS me`
    : Prisma.sql`(SELECT room_id FROM chat_room_members WHERE user_id = ${userId}::int AND left_at IS NULL) AS me`;

/** Whether the user is a member of the room now. */
export async function isMember({ writes }: Database, roomId: string, userId: number): Promise<boolean> {
  const [row] = await writes.query<{ yes: boolean }>`
    SELECT chat_is_member(${roomId}::uuid, ${userId}::int) AS yes`;
  return row?.yes === true;
}
