import type { ViewedUser } from '../domain/presence.js';
import { clockLeewayMs } from '../domain/viewer.js';
import type { View } from './batch.js';
import type { Database } from './database.js';
import { isPresent } from './membership.js';
import { type UserProfile, userRow } from './user-row.js';
import { withVisibleUsers } from './visible-users.js';

/** Finds the known ones of these users, in no particular order. */
export const findUsers = ({ reads }: Database, ids: readonly number[]): Promise<UserProfile[]> =>
  reads.query<UserProfile>`SELECT ${userRow.select('u')} FROM chat_users u WHERE u.id = ANY(${ids}::int[])`;

/** Finds those of the users with whom the viewer shares a room now, confirmed there or not, and the viewer. */
export const findCompany = ({ reads }: Database, viewerId: number, ids: readonly number[]): Promise<{ id: number }[]> =>
  reads.query<{ id: number }>`
    SELECT a.id FROM unnest(${ids}::int[]) AS a(id)
    WHERE a.id = ${viewerId}::int OR EXISTS (
      SELECT FROM chat_room_members theirs JOIN chat_room_members mine ON mine.room_id = theirs.room_id
      WHERE theirs.user_id = a.id AND ${isPresent('theirs')}
        AND mine.user_id = ${viewerId}::int AND ${isPresent('mine')}
    )`;

/** Finds each user that the viewer may see: the viewer themselves, and users who are confirmed in a shared room. */
export async function findKnownUsers(
  { reads }: Database,
  asked: readonly ViewedUser[],
): Promise<View<ViewedUser, UserProfile>> {
  const rows = await reads.query<UserProfile & { viewer_id: number }>`
    ${withVisibleUsers(asked)}
    SELECT v.viewer_id, ${userRow.select('u')} FROM visible v JOIN chat_users u ON u.id = v.user_id`;
  const users = new Map(rows.map(({ viewer_id, ...user }) => [`${viewer_id} ${user.id}`, user]));
  return ({ viewerId, userId }) => users.get(`${viewerId} ${userId}`);
}

/** The maximum number of names that contain a text without starting with it; of more, the first ones found are returned. */
const maxContaining = 1_000;

/**
 * Finds users whose name contains the text, ignoring letter case and Unicode form; names that start with it come first. Needs
 * two index lookups, regardless of the number of users.
 */
export const searchUsers = ({ reads }: Database, text: string, count: number): Promise<UserProfile[]> =>
  reads.query<UserProfile>`
    WITH wanted AS MATERIALIZED (SELECT chat_fold(${text}::text) AS text), starting AS (
      SELECT ${userRow.select('u')}, u.search_name FROM chat_users u
      WHERE u.search_name COLLATE "C" >= (SELECT w.text FROM wanted w)
        AND u.search_name COLLATE "C" < (SELECT w.text || chr(1114111) FROM wanted w)
        AND u.deleted_at IS NULL
      ORDER BY u.search_name COLLATE "C", u.id LIMIT ${count}::int
    ), containing AS (
      SELECT ${userRow.select('f')}, f.search_name FROM (
        SELECT u.* FROM chat_users u
        WHERE chat_grams(u.search_name) @> (SELECT chat_grams(w.text) FROM wanted w)
          AND strpos(u.search_name, (SELECT w.text FROM wanted w)) > 1 AND u.deleted_at IS NULL
        LIMIT ${maxContaining}::int
      ) f
      ORDER BY f.search_name COLLATE "C", f.id LIMIT ${count}::int - (SELECT count(*) FROM starting)
    )
    SELECT s.id, s.name, s."avatarUrl", s."isDeleted" FROM (SELECT 1 AS part, * FROM starting UNION ALL SELECT 2, * FROM containing) s
    ORDER BY s.part, s.search_name COLLATE "C", s.id`;

/** A user as the platform describes them now. */
export interface UserUpdate {
  readonly id: number;
  readonly name: string;
  /** Null removes the picture; absent, it stays. */
  readonly avatarUrl?: string | null | undefined;
}

/**
 * Stores the platform's description of a user as of now, and resolves with whether it is another one. It takes precedence over
 * every token issued before, even in the same second, or dated ahead by a clock within the leeway. If the database's clock is
 * behind the platform's by more than that, it takes precedence over the tokens that are known. A deleted user is back.
 */
export async function updateUser({ changes }: Database, { id, name, avatarUrl }: UserUpdate): Promise<boolean> {
  const rows = await changes.change(
    `user ${id}`,
    ({ query }) => query<UserProfile>`
    WITH before AS (SELECT ${userRow.select('u')} FROM chat_users u WHERE u.id = ${id}::int), written AS (
      INSERT INTO chat_users AS u (id, name, avatar_url, named_at)
      VALUES (${id}::int, ${name}::text, ${avatarUrl ?? null}::text,
        clock_timestamp() + ${clockLeewayMs + 1_000}::int * interval '1 ms')
      ON CONFLICT (id) DO UPDATE
      SET name = excluded.name, named_at = greatest(u.named_at + interval '1 ms', excluded.named_at), deleted_at = NULL,
        avatar_url = CASE WHEN ${avatarUrl !== undefined}::boolean THEN excluded.avatar_url ELSE u.avatar_url END
    )
    SELECT * FROM before`,
  );
  return rows.some(
    (before) => before.isDeleted || before.name !== name || (avatarUrl !== undefined && before.avatarUrl !== avatarUrl),
  );
}

/**
 * Replaces the name of a user whom the platform has deleted, removes the picture, and resolves with whether the user was known
 * and not deleted. Tokens and mentions do not change them any more. Their memberships and messages stay.
 */
export async function deleteUser(
  { changes }: Database,
  { id, name }: { readonly id: number; readonly name: string },
): Promise<boolean> {
  const rows = await changes.change(
    `user ${id}`,
    ({ query }) => query<UserProfile>`
    WITH before AS (SELECT ${userRow.select('u')} FROM chat_users u WHERE u.id = ${id}::int), written AS (
      INSERT INTO chat_users AS u (id, name, named_at, deleted_at)
      VALUES (${id}::int, ${name}::text, clock_timestamp(), clock_timestamp())
      ON CONFLICT (id) DO UPDATE
      SET name = excluded.name, avatar_url = NULL, deleted_at = coalesce(u.deleted_at, excluded.deleted_at)
    )
    SELECT * FROM before`,
  );
  return rows.some(({ isDeleted }) => !isDeleted);
}

/** A user that a backend mentions, with the name if the backend knows it. */
export interface MentionedUser {
  readonly userId: number;
  readonly userName: string | null;
}

/**
 * Adds unknown users. Their names apply until a token or an upsert gives another one, because a mention has the lowest
 * precedence. Resolves with the known users whose name has changed.
 */
export async function introduceUsers({ changes }: Database, users: readonly MentionedUser[]): Promise<number[]> {
  const ids = users.map(({ userId }) => userId);
  const names = users.map(({ userName }) => userName);
  const rows = await changes.change(
    `users ${ids.join()}`,
    ({ query }) => query<Introduced>`SELECT chat_introduce_users(${ids}::int[], ${names}::text[]) AS renamed`,
  );
  return rows.flatMap(({ renamed }) => renamed);
}

interface Introduced {
  readonly renamed: readonly number[];
}

/** A message that is about to be written. */
interface MessageToWrite {
  readonly id: string;
  readonly roomId: string;
  /** Whether its author has to be a member of the room. */
  readonly isByMember: boolean;
}

/** The same for the author of a message, unless the message is stored already or will be refused. */
export async function introduceAuthor(
  { changes }: Database,
  { userId, userName }: MentionedUser,
  { id, roomId, isByMember }: MessageToWrite,
): Promise<number[]> {
  const rows = await changes.change(
    `users ${userId}`,
    ({ query }) => query<Introduced>`
    SELECT chat_introduce_users(ARRAY[${userId}::int], ARRAY[${userName}::text]) AS renamed FROM chat_rooms r
    WHERE r.id = ${roomId}::uuid AND r.seq > 0 AND r.cancelled_at IS NULL
      AND (NOT ${isByMember}::boolean OR chat_is_member(r.id, ${userId}::int))
      AND NOT EXISTS (SELECT FROM chat_messages c WHERE c.id = ${id}::uuid)`,
  );
  return rows.flatMap(({ renamed }) => renamed);
}

/** A user as a token describes them. */
export interface TokenUser {
  readonly id: number;
  readonly name: string | undefined;
  readonly avatarUrl?: string | undefined;
  /** When the token was issued. */
  readonly namedAt: Date;
}

/**
 * Stores what a token says about its user, unless something newer is known or the user is deleted; without a name and a
 * picture, only adds the user. Resolves with whether anything has changed.
 */
export async function saveUser({ changes }: Database, user: TokenUser): Promise<boolean> {
  const [name, avatarUrl] = [user.name ?? null, user.avatarUrl ?? null];
  const rows = await changes.change(
    `user ${user.id}`,
    ({ query }) => query<Record<'before' | 'after', Pick<UserProfile, 'name' | 'avatarUrl'>>>`
    WITH before AS (SELECT u.name, u.avatar_url FROM chat_users u WHERE u.id = ${user.id}::int), written AS (
    INSERT INTO chat_users AS u (id, name, avatar_url, named_at)
    VALUES (${user.id}::int, ${name}::text, ${avatarUrl}::text,
      CASE WHEN ${name}::text IS NOT NULL OR ${avatarUrl}::text IS NOT NULL THEN ${user.namedAt}::timestamptz END)
    ON CONFLICT (id) DO UPDATE SET named_at = excluded.named_at, name = coalesce(excluded.name, u.name),
      avatar_url = coalesce(excluded.avatar_url, u.avatar_url)
    WHERE (u.named_at IS NULL OR u.named_at <= excluded.named_at) AND excluded.named_at IS NOT NULL AND u.deleted_at IS NULL
      AND (u.name, u.avatar_url, u.named_at) IS DISTINCT FROM
        (coalesce(excluded.name, u.name), coalesce(excluded.avatar_url, u.avatar_url), excluded.named_at)
    RETURNING u.name, u.avatar_url)
    SELECT json_build_object('name', b.name, 'avatarUrl', b.avatar_url) AS before,
      json_build_object('name', w.name, 'avatarUrl', w.avatar_url) AS after FROM before b, written w`,
  );
  return rows.some(({ before, after }) => before.name !== after.name || before.avatarUrl !== after.avatarUrl);
}
