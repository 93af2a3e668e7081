import { clockLeewayMs } from '../domain/viewer.js';
import type { Database } from './database.js';
import { type User, userColumns } from './rows.js';

/** Those of the users that the chat knows of, in no particular order. */
export const findUsers = ({ reads }: Database, ids: readonly number[]): Promise<User[]> =>
  reads.query<User>`SELECT ${userColumns('u')} FROM chat_users u WHERE u.id = ANY(${ids}::int[])`;

/** Those of the users who are in a room with this user now, and the user themselves. */
export const findAcquaintances = ({ reads }: Database, ids: readonly number[], userId: number): Promise<User[]> =>
  reads.query<User>`
    SELECT ${userColumns('u')} FROM chat_users u
    WHERE u.id = ANY(${ids}::int[]) AND (u.id = ${userId}::int OR EXISTS (
      SELECT FROM chat_room_members theirs JOIN chat_room_members mine ON mine.room_id = theirs.room_id
      WHERE theirs.user_id = u.id AND theirs.left_at IS NULL AND mine.user_id = ${userId}::int AND mine.left_at IS NULL))`;

/** Users whose name contains the text, letter case aside; those whose name starts with it first. */
export function searchUsers({ reads }: Database, text: string, count: number): Promise<User[]> {
  const literal = text.replace(/[\\%_]/g, '\\$&');
  return reads.query<User>`
    SELECT ${userColumns('u')} FROM chat_users u
    WHERE u.name ILIKE ${`%${literal}%`} ORDER BY u.name NOT ILIKE ${`${literal}%`}, u.name, u.id LIMIT ${count}::int`;
}

/**
 * Takes over the platform's name, stated here and now. It outranks every token issued before, also one of the same second
 * and one dated ahead by a clock within the leeway.
 */
export async function renameUser({ writes }: Database, { id, name }: { id: number; name: string }): Promise<void> {
  await writes.query`
    INSERT INTO chat_users AS u (id, name, named_at)
    VALUES (${id}::int, ${name}::text, clock_timestamp() + ${clockLeewayMs + 1_000}::int * interval '1 ms')
    ON CONFLICT (id) DO UPDATE
    SET name = excluded.name, named_at = greatest(u.named_at, excluded.named_at)`;
}

/** Somebody whom a backend mentions, under the name that it knows, if it knows one. */
export interface MentionedUser {
  readonly userId: number;
  readonly userName: string | null;
}

/** Makes users known. Their names hold until a token or an upsert says another one: a mention is the weakest word. */
export async function introduceUsers({ writes }: Database, users: readonly MentionedUser[]): Promise<void> {
  const ids = users.map(({ userId }) => userId);
  const names = users.map(({ userName }) => userName);
  await writes.query`SELECT chat_introduce_users(${ids}::int[], ${names}::text[])::text`;
}

/** Takes over the platform's name for a user, unless a newer one is known; without a name only makes the user known. */
export async function saveUser(
  { writes }: Database,
  user: { id: number; name: string | undefined; namedAt: Date },
): Promise<void> {
  const name = user.name ?? null;
  await writes.query`
    INSERT INTO chat_users AS u (id, name, named_at)
    VALUES (${user.id}::int, ${name}::text, CASE WHEN ${name}::text IS NOT NULL THEN ${user.namedAt}::timestamptz END)
    ON CONFLICT (id) DO UPDATE SET name = excluded.name, named_at = excluded.named_at
    WHERE excluded.name IS NOT NULL AND (u.named_at IS NULL OR u.named_at <= excluded.named_at)
      AND (u.name, u.named_at) IS DISTINCT FROM (excluded.name, excluded.named_at)`;
}
