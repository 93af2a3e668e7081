import type { Message } from '../domain/message.js';
import { Prisma } from './generated/prisma/client.js';
import {
  type KnownMember,
  type MemberDetail,
  type MemberJson,
  memberJson,
  nameOfMember,
  showMembers,
  toListedMember,
} from './member-row.js';
import { isPresent } from './membership.js';
import { type MessageJson, messageRow } from './message-row.js';

/**
 * A part of a room: one value of a query, and how each reader sees it. Lists of rooms and batches of fields use the same
 * parts.
 */
export interface Part<Json, Value> {
  /** @param room - the room's id in the query; a part of the reader's own also uses their membership as `m` */
  sql(room: string): Prisma.Sql;
  /** The join of a part that is read for all rooms at once. @param rooms - a query of their ids */
  join?(rooms: Prisma.Sql, room: string): Prisma.Sql;
  /** The returned function returns undefined if there is no value. */
  read(json: Json, roomId: string): (userId: number | null) => Value | undefined;
}

/** Selects among current and former members: `isPresent`, or all. */
type Among = (member: string) => Prisma.Sql;
export const isEver: Among = () => Prisma.sql`true`;

export const countMembersOf = (among: Among): Part<number, number> => ({
  sql: (room) =>
    Prisma.sql`(SELECT count(*) FROM chat_room_members o WHERE o.room_id = ${Prisma.raw(room)} AND ${among('o')})::int`,
  read: (count) => () => count,
});

interface MemberList {
  readonly details: readonly MemberDetail[];
  /** If all rooms together have more members, none is read. */
  readonly max?: number | undefined;
}

/**
 * The longest member first. Sorts and aggregates the members of all rooms at once: room by room it takes three times as long.
 */
export const listMembersOf = (
  among: Among,
  { details, max }: MemberList,
): Part<readonly MemberJson[] | null, readonly KnownMember[]> => ({
  sql: () => Prisma.sql`everybody.members`,
  join: (rooms, room) => Prisma.sql`LEFT JOIN (
    SELECT o.room_id, json_agg(o.member) AS members FROM (
      SELECT o.room_id, ${memberJson('o', Prisma.sql`u.name`, details)} AS member
      FROM chat_room_members o JOIN chat_users u ON u.id = o.user_id
      WHERE o.room_id = ANY(ARRAY(${rooms})) AND ${among('o')} ${max === undefined ? Prisma.empty : andAtMost(max, rooms)}
      ORDER BY o.room_id, o.joined_seq, o.user_id
    ) o GROUP BY o.room_id
  ) everybody ON everybody.room_id = ${Prisma.raw(room)}`,
  read: (json, roomId) => (json === null ? () => undefined : showMembers(json, { roomId, details })),
});

/** Stops counting at the maximum, and reads none if there are more. */
const andAtMost = (max: number, rooms: Prisma.Sql): Prisma.Sql => Prisma.sql`AND (
  SELECT count(*) <= ${max}::bigint FROM (
    SELECT FROM chat_room_members c WHERE c.room_id = ANY(ARRAY(${rooms})) AND ${isPresent('c')} LIMIT ${max}::bigint + 1
  ) counted)`;

/** The newest message that is not deleted. */
export const lastMessage: Part<MessageJson | null, Message | null> = {
  sql: (room) => Prisma.sql`(
    SELECT json_build_array(${messageRow.values('c')}) FROM chat_messages c
    WHERE c.room_id = ${Prisma.raw(room)} AND c.deleted_at IS NULL ORDER BY c.seq DESC LIMIT 1)`,
  read: readMessage,
};

function readMessage(json: MessageJson | null, roomId: string): () => Message | null {
  const message = json === null ? null : messageRow.decodeJson(json, { roomId });
  return () => message;
}

/** Messages of others, neither SYSTEM nor deleted, after the read mark and the joining of member m. */
const unreadMessages = Prisma.sql`chat_messages c
    WHERE c.room_id = m.room_id AND c.seq > greatest(m.last_read_seq, m.joined_seq)
      AND c.sender_id <> m.user_id AND c.type <> 'SYSTEM' AND c.deleted_at IS NULL`;

export const unreadCount: Part<number, number> = {
  sql: () => Prisma.sql`(SELECT count(*) FROM ${unreadMessages})::int`,
  read: (count) => () => count,
};

export const firstUnreadMessage: Part<MessageJson | null, Message | null> = {
  sql: () => Prisma.sql`(
    SELECT json_build_array(${messageRow.values('c')}) FROM ${unreadMessages} ORDER BY c.seq LIMIT 1)`,
  read: readMessage,
};

/** The reader's own membership. */
export const ownMember = (details: readonly MemberDetail[]): Part<MemberJson, KnownMember> => ({
  sql: () => memberJson('m', Prisma.sql`(SELECT u.name FROM chat_users u WHERE u.id = m.user_id)`, details),
  read: (json, roomId) => () => toListedMember(json, { roomId, details }),
});

/** The maximum number of names in the title of a room without a name; it ends with the number of all others. */
export const maxNamesInTitle = 10;

type NamedMember = readonly [userId: number, ownName: string, shownName: string, total: number];

/** The title of a room without a name: the names of its other members, the longest member first. */
export const title: Part<readonly NamedMember[] | null, string> = {
  sql: (room) => Prisma.sql`(
    SELECT json_agg(json_build_array(n.user_id, n.own_name, n.shown_name, n.total) ORDER BY n.place) FROM (
      SELECT o.user_id, coalesce(u.name, '#' || u.id) AS own_name,
        coalesce(${nameOfMember('o', 'u')}, '#' || u.id) AS shown_name, count(*) OVER () AS total,
        row_number() OVER (ORDER BY o.joined_seq, o.user_id) AS place
      FROM chat_room_members o JOIN chat_users u ON u.id = o.user_id
      WHERE o.room_id = ${Prisma.raw(room)} AND ${isPresent('o')}
      ORDER BY place LIMIT ${maxNamesInTitle + 1}::int
    ) n)`,
  read: (members) => (userId) => (members === null ? undefined : toTitle(members, userId)),
};

function toTitle(members: readonly NamedMember[], viewerId: number | null): string | undefined {
  const others = members.filter(([userId]) => userId !== viewerId);
  const [first] = members;
  if (first === undefined || others.length === 0) return first?.[1];
  const shown = others.slice(0, maxNamesInTitle).map(([, , shownName]) => shownName);
  const rest = first[3] - 1 - shown.length;
  return rest > 0 ? `${shown.join(', ')} 외 ${rest}명` : shown.join(', ');
}
