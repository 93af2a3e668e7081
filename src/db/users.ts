import type { ViewedUser } from '../domain/presence.js';
import { clockLeewayMs } from '../domain/viewer.js';
import { withAcquainted } from './acquaintances.js';
import type { View } from './batch.js';
import type { Database } from './database.js';
import { isPresent } from './membership.js';
import { type User, userRow } from './user-row.js';

/** Those of the users that the chat knows of, in no particular order. */
export const findUsers = ({ reads }: Database, ids: readonly number[]): Promise<User[]> =>
  reads.query<User>`SELECT ${userRow.select('u')} FROM chat_users u WHERE u.id = ANY(${ids}::int[])`;

/** Those of the users with whom the viewer shares a room now, confirmed there or not, and the viewer. */
export const findCompany = ({ reads }: Database, viewerId: number, ids: readonly number[]): Promise<{ id: number }[]> =>
  reads.query<{ id: number }>`
    SELECT a.id FROM unnest(${ids}::int[]) AS a(id)
    WHERE a.id = ${viewerId}::int OR EXISTS (
      SELECT FROM chat_room_members theirs JOIN chat_room_members mine ON mine.room_id = theirs.room_id
      WHERE theirs.user_id = a.id AND ${isPresent('theirs')}
        AND mine.user_id = ${viewerId}::int AND ${isPresent('mine')}
    )`;

/** Each user as one viewer may know of them: themselves, and those whom they meet in a room where these are shown. */
export async function findKnownUsers(
  { reads }: Database,
  asked: readonly ViewedUser[],
): Promise<View<ViewedUser, User>> {
  const rows = await reads.query<User & { viewer_id: number }>`
    ${withAcquainted(asked)}
    SELECT a.viewer_id, ${userRow.select('u')} FROM acquainted a JOIN chat_users u ON u.id = a.user_id`;
  const users = new Map(rows.map(({ viewer_id, id, name }) => [`${viewer_id} ${id}`, { id, name }]));
  return ({ viewerId, userId }) => users.get(`${viewerId} ${userId}`);
}

/** Beyond so many names that contain a text without starting with it, those that were found first are as good. */
const maxContaining = 1_000;

/**
 * Users whose name contains the text, letter case and Unicode form aside; those whose name starts with it first. Two looks
 * into indexes, however many users there are.
 */
export const searchUsers = ({ reads }: Database, text: string, count: number): Promise<User[]> =>
  reads.query<User>`
    WITH wanted AS MATERIALIZED (SELECT chat_fold(${text}::text) AS text), starting AS (
      SELECT ${userRow.select('u')}, u.search_name FROM chat_users u
      WHERE u.search_name COLLATE "C" >= (SELECT w.text FROM wanted w)
        AND u.search_name COLLATE "C" < (SELECT w.text || chr(1114111) FROM wanted w)
      ORDER BY u.search_name COLLATE "C", u.id LIMIT ${count}::int
    ), containing AS (
      SELECT ${userRow.select('f')}, f.search_name FROM (
        SELECT u.* FROM chat_users u
        WHERE chat_grams(u.search_name) @> (SELECT chat_grams(w.text) FROM wanted w)
          AND strpos(u.search_name, (SELECT w.text FROM wanted w)) > 1
        LIMIT ${maxContaining}::int
      ) f
      ORDER BY f.search_name COLLATE "C", f.id LIMIT ${count}::int - (SELECT count(*) FROM starting)
    )
    SELECT ${userRow.select('s')} FROM (SELECT 1 AS part, * FROM starting UNION ALL SELECT 2, * FROM containing) s
    ORDER BY s.part, s.search_name COLLATE "C", s.id`;

/**
 * Takes over the platform's name, stated here and now. It outranks every token issued before, also one of the same second
 * and one dated ahead by a clock within the leeway. Where the database's clock is behind the platform's by more than that,
 * it outranks the tokens that are known. Whether it is another name.
 */
export async function renameUser({ changes }: Database, { id, name }: { id: number; name: string }): Promise<boolean> {
  const rows = await changes.change(
    `user ${id}`,
    ({ query }) => query<{ name: string | null }>`
    WITH before AS (SELECT u.name FROM chat_users u WHERE u.id = ${id}::int), written AS (
      INSERT INTO chat_users AS u (id, name, named_at)
      VALUES (${id}::int, ${name}::text, clock_timestamp() + ${clockLeewayMs + 1_000}::int * interval '1 ms')
      ON CONFLICT (id) DO UPDATE
      SET name = excluded.name, named_at = greatest(u.named_at + interval '1 ms', excluded.named_at)
    )
    SELECT b.name FROM before b`,
  );
  return rows.some((before) => before.name !== name);
}

/** Somebody whom a backend mentions, under the name that it knows, if it knows one. */
export interface MentionedUser {
  readonly userId: number;
  readonly userName: string | null;
}

/** Makes users known. Their names hold until a token or an upsert says another one: a mention is the weakest word. */
export async function introduceUsers({ changes }: Database, users: readonly MentionedUser[]): Promise<void> {
  const ids = users.map(({ userId }) => userId);
  const names = users.map(({ userName }) => userName);
  await changes.change(
    `users ${ids.join()}`,
    ({ query }) => query`SELECT chat_introduce_users(${ids}::int[], ${names}::text[])::text`,
  );
}

/**
 * Takes over the platform's name for a user, unless a newer one is known; without a name only makes the user known. Whether
 * they have another name by it.
 */
export async function saveUser(
  { changes }: Database,
  user: { id: number; name: string | undefined; namedAt: Date },
): Promise<boolean> {
  const name = user.name ?? null;
  const rows = await changes.change(
    `user ${user.id}`,
    ({ query }) => query<{ before: string | null; after: string | null }>`
    WITH before AS (SELECT u.name FROM chat_users u WHERE u.id = ${user.id}::int), written AS (
    INSERT INTO chat_users AS u (id, name, named_at)
    VALUES (${user.id}::int, ${name}::text, CASE WHEN ${name}::text IS NOT NULL THEN ${user.namedAt}::timestamptz END)
    ON CONFLICT (id) DO UPDATE SET name = excluded.name, named_at = excluded.named_at
    WHERE excluded.name IS NOT NULL AND (u.named_at IS NULL OR u.named_at <= excluded.named_at)
      AND (u.name, u.named_at) IS DISTINCT FROM (excluded.name, excluded.named_at)
    RETURNING u.name)
    SELECT b.name AS before, w.name AS after FROM before b, written w`,
  );
  return rows.some(({ before, after }) => before !== after);
}
