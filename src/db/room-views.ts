import type { Epochs } from '../domain/epoch.js';
import type { Message } from '../domain/message.js';
import type { Member } from '../domain/room-log.js';
import type { View } from './batch.js';
import type { Database } from './database.js';
import { type EpochValues, epochsOfRoom, toEpochs } from './epochs.js';
import { Prisma } from './generated/prisma/client.js';
import {
  type KnownMember,
  type MemberRow,
  memberRow,
  type NamedMemberRow,
  nameOfMember,
  selectNamedMember,
  showMembers,
} from './member-row.js';
import { type MessageRow, messageRow } from './message-row.js';
import { type RoomRow, roomRow } from './room-row.js';
import { maxNamesInTitle, type Room, unreadOfMember } from './rooms.js';
import type { User } from './user-row.js';

/** A room as one user is to see it, or with null the platform, which sees every room. */
export interface RoomOfUser {
  readonly roomId: string;
  readonly userId: number | null;
}

type RoomView<Value> = View<RoomOfUser, Value>;

/**
 * The rooms that are asked for, each with those of their askers who are members at this very moment, as `me`. Whoever
 * holds a room may have been removed since, and what is loaded for it then must tell nothing of what came later.
 */
const askers = (asked: readonly RoomOfUser[]): Prisma.Sql => Prisma.sql`(
  SELECT a.room_id, array_agg(a.user_id) AS viewer_ids
  FROM unnest(${asked.map(({ roomId }) => roomId)}::uuid[], ${asked.map(({ userId }) => userId)}::int[]) AS a(room_id, user_id)
  LEFT JOIN chat_room_members m ON m.room_id = a.room_id AND m.user_id = a.user_id AND m.left_at IS NULL
  WHERE m.user_id IS NOT NULL OR a.user_id IS NULL GROUP BY a.room_id
) AS me`;

/** One membership for each asker who has one now, as `m`. */
const memberships = (asked: readonly RoomOfUser[]): Prisma.Sql => Prisma.sql`
  unnest(${asked.map(({ roomId }) => roomId)}::uuid[], ${asked.map(({ userId }) => userId)}::int[]) AS a(room_id, user_id)
  JOIN chat_room_members m ON m.room_id = a.room_id AND m.user_id = a.user_id AND m.left_at IS NULL`;

interface SharedRow {
  readonly of_room: string;
  /** On the first row of each room. */
  readonly viewer_ids: readonly (number | null)[] | null;
}

/** The same for all members who ask. */
function shared<Row extends SharedRow, Value>(
  rows: readonly Row[],
  toValue: (rows: readonly [Row, ...Row[]]) => Value,
): RoomView<Value> {
  const rooms = new Map<string, { readonly viewerIds: Set<number | null>; readonly rows: [Row, ...Row[]] }>();
  for (const row of rows) {
    const room = rooms.get(row.of_room);
    if (room === undefined) rooms.set(row.of_room, { viewerIds: new Set(row.viewer_ids), rows: [row] });
    else room.rows.push(row);
  }
  const values = new Map([...rooms].map(([id, room]) => [id, toValue(room.rows)]));
  return ({ roomId, userId }) => (rooms.get(roomId)?.viewerIds.has(userId) === true ? values.get(roomId) : undefined);
}

/** To each member their own. */
function own<Row extends RoomOfUser, Value>(rows: readonly Row[], toValue: (row: Row) => Value): RoomView<Value> {
  const values = new Map(rows.map((row) => [keyOf(row), toValue(row)]));
  return (one) => values.get(keyOf(one));
}

export async function findRooms({ reads }: Database, asked: readonly RoomOfUser[]): Promise<RoomView<Room>> {
  const rows = await reads.query<RoomRow & SharedRow>`
    SELECT ${roomRow.select('r')}, r.id AS of_room, me.viewer_ids
    FROM ${askers(asked)} JOIN chat_rooms r ON r.id = me.room_id`;
  return shared(rows, ([row]) => roomRow.decode(row));
}

/** Where a room's log stands, and how that came about. */
export interface LogHead {
  readonly seq: number;
  readonly epochs: Epochs;
  /** How long ago each of the epochs began; where the clock was set back behind its start, how far it is dated ahead. */
  readonly epochAgesMs: readonly number[];
}

/** For each asker who is a member, as of one moment. Waits for its turn as replays do. */
export async function findMemberHeads(db: Database, asked: readonly RoomOfUser[]): Promise<RoomView<LogHead>> {
  const rows = await db.replay(
    (connection) => connection.query<HeadRow>`
      SELECT m.room_id AS "roomId", m.user_id AS "userId", r.seq, ${epochsOfRoom} AS epochs, age.ms AS "epochAgesMs"
      FROM ${memberships(asked)} JOIN chat_rooms r ON r.id = m.room_id, (
        SELECT array_agg(abs(extract(epoch FROM clock_timestamp() - e.began_at))::float8 * 1000 ORDER BY e.number) AS ms
        FROM chat_epochs e
      ) age`,
  );
  return own(rows, ({ seq, epochs, epochAgesMs }) => ({ seq, epochs: toEpochs(epochs), epochAgesMs }));
}

interface HeadRow extends RoomOfUser {
  readonly seq: number;
  readonly epochs: EpochValues;
  readonly epochAgesMs: readonly number[];
}

/** Each asker's own membership. */
export async function findMemberships({ reads }: Database, asked: readonly RoomOfUser[]): Promise<RoomView<Member>> {
  const rows = await reads.query<MemberRow>`SELECT ${memberRow.select('m')} FROM ${memberships(asked)}`;
  return own(rows, memberRow.decode);
}

/** Whether a room is open for writing, and where its log stands. */
export interface Writing {
  readonly isOpen: boolean;
  readonly seq: number;
}

/** For each asker who is a member, as of one moment. */
export async function findWriting({ reads }: Database, asked: readonly RoomOfUser[]): Promise<RoomView<Writing>> {
  const rows = await reads.query<RoomOfUser & Writing>`
    SELECT m.room_id AS "roomId", m.user_id AS "userId", r.cancelled_at IS NULL AS "isOpen", r.seq
    FROM ${memberships(asked)} JOIN chat_rooms r ON r.id = m.room_id`;
  return own(rows, ({ isOpen, seq }) => ({ isOpen, seq }));
}

/** Everybody who is in the room, the longest member first. */
export const findMembers = (db: Database, asked: readonly RoomOfUser[]) =>
  findPeople(db, asked, Prisma.sql`m.left_at IS NULL`);

/** Everybody who is or ever was in the room, the longest member first. */
export const findEverMembers = (db: Database, asked: readonly RoomOfUser[]) => findPeople(db, asked, Prisma.sql`true`);

async function findPeople(
  { reads }: Database,
  asked: readonly RoomOfUser[],
  who: Prisma.Sql,
): Promise<RoomView<readonly KnownMember[]>> {
  const rows = await reads.query<NamedMemberRow & SharedRow>`
    SELECT ${selectNamedMember('m', 'u')}, m.room_id AS of_room,
      CASE WHEN row_number() OVER (PARTITION BY m.room_id ORDER BY m.joined_seq, m.user_id) = 1 THEN me.viewer_ids END AS viewer_ids
    FROM ${askers(asked)} JOIN chat_room_members m ON m.room_id = me.room_id JOIN chat_users u ON u.id = m.user_id
    WHERE ${who} ORDER BY m.joined_seq, m.user_id`;
  const people = shared(rows, showMembers);
  return (one) => people(one)?.(one.userId);
}

/** Everybody who is in the room. */
export const countMembers = (db: Database, asked: readonly RoomOfUser[]) =>
  countPeople(db, asked, Prisma.sql`m.left_at IS NULL`);

/** Everybody who is or ever was in the room. */
export const countEverMembers = (db: Database, asked: readonly RoomOfUser[]) =>
  countPeople(db, asked, Prisma.sql`true`);

async function countPeople(
  { reads }: Database,
  asked: readonly RoomOfUser[],
  who: Prisma.Sql,
): Promise<RoomView<number>> {
  const rows = await reads.query<{ count: number } & SharedRow>`
    SELECT me.room_id AS of_room, me.viewer_ids,
      (SELECT count(*) FROM chat_room_members m WHERE m.room_id = me.room_id AND ${who})::int AS count
    FROM ${askers(asked)}`;
  return shared(rows, ([{ count }]) => count);
}

/** What to call a room without a name: its other members, the longest first; ten at most, the rest as a number. */
export async function nameByMembers({ reads }: Database, asked: readonly RoomOfUser[]): Promise<RoomView<string>> {
  const rows = await reads.query<NamedRow & SharedRow>`
    SELECT me.room_id AS of_room, CASE WHEN n.place = 1 THEN me.viewer_ids END AS viewer_ids,
      n.user_id, n.own_name, n.shown_name, n.total
    FROM ${askers(asked)} CROSS JOIN LATERAL (
      SELECT m.user_id, coalesce(u.name, '#' || u.id) AS own_name,
        coalesce(${nameOfMember('m', 'u')}, '#' || u.id) AS shown_name, (count(*) OVER ())::int AS total,
        row_number() OVER (ORDER BY m.joined_seq, m.user_id) AS place
      FROM chat_room_members m JOIN chat_users u ON u.id = m.user_id
      WHERE m.room_id = me.room_id AND m.left_at IS NULL
      ORDER BY place LIMIT ${maxNamesInTitle + 1}::int
    ) n
    ORDER BY n.place`;
  const named = shared(rows, (members) => members);
  return (room) => {
    const members = named(room);
    if (members === undefined) return undefined;
    const others = members.filter(({ user_id }) => user_id !== room.userId);
    if (others.length === 0) return members[0]?.own_name;
    const shown = others.slice(0, maxNamesInTitle).map(({ shown_name }) => shown_name);
    const rest = (members[0]?.total ?? 0) - 1 - shown.length;
    return rest > 0 ? `${shown.join(', ')} 외 ${rest}명` : shown.join(', ');
  };
}

interface NamedRow {
  readonly user_id: number;
  /** As they see themselves, confirmed or not. */
  readonly own_name: string;
  readonly shown_name: string;
  readonly total: number;
}

/** The newest message of each room that is not deleted; nothing where there is none. */
export async function findLastMessages({ reads }: Database, asked: readonly RoomOfUser[]): Promise<RoomView<Message>> {
  const rows = await reads.query<MessageRow & SharedRow>`
    SELECT ${messageRow.select('l')}, me.room_id AS of_room, me.viewer_ids
    FROM ${askers(asked)} CROSS JOIN LATERAL (
      SELECT * FROM chat_messages m WHERE m.room_id = me.room_id AND m.deleted_at IS NULL ORDER BY m.seq DESC LIMIT 1
    ) l`;
  return shared(rows, ([row]) => messageRow.decode(row));
}

/** Each asker's own count. */
export async function countUnread({ reads }: Database, asked: readonly RoomOfUser[]): Promise<RoomView<number>> {
  const rows = await reads.query<RoomOfUser & { unread: number }>`
    SELECT m.room_id AS "roomId", m.user_id AS "userId", ${unreadOfMember}::int AS unread FROM ${memberships(asked)}`;
  return own(rows, ({ unread }) => unread);
}

/** Somebody who is or was in a room. */
export interface MemberOfRoom {
  readonly roomId: string;
  readonly userId: number;
}

/** Who they are, by the name that is shown in the room. */
export async function findMemberUsers(
  { reads }: Database,
  asked: readonly MemberOfRoom[],
): Promise<View<MemberOfRoom, User>> {
  const rows = await reads.query<UserOfRoomRow>`
    SELECT m.room_id, u.id, ${nameOfMember('m', 'u')} AS name
    FROM ${usersOfRooms(asked)}
    JOIN chat_room_members m ON m.room_id = a.room_id AND m.user_id = a.user_id JOIN chat_users u ON u.id = m.user_id`;
  return ofRooms(rows);
}

/** Who caused entries, by the name that is shown in the room; those who were never in it keep theirs. */
export async function findActors(
  { reads }: Database,
  asked: readonly MemberOfRoom[],
): Promise<View<MemberOfRoom, User>> {
  const rows = await reads.query<UserOfRoomRow>`
    SELECT a.room_id, u.id, CASE WHEN m.is_confirmed IS NOT FALSE THEN u.name END AS name
    FROM ${usersOfRooms(asked)} JOIN chat_users u ON u.id = a.user_id
    LEFT JOIN chat_room_members m ON m.room_id = a.room_id AND m.user_id = a.user_id`;
  return ofRooms(rows);
}

type UserOfRoomRow = User & { readonly room_id: string };

/** Each once, as `a`: many may look at the same list. */
function usersOfRooms(asked: readonly MemberOfRoom[]): Prisma.Sql {
  const distinct = [...new Map(asked.map((one) => [keyOf(one), one])).values()];
  return Prisma.sql`unnest(
    ${distinct.map(({ roomId }) => roomId)}::uuid[], ${distinct.map(({ userId }) => userId)}::int[]) AS a(room_id, user_id)`;
}

function ofRooms(rows: readonly UserOfRoomRow[]): View<MemberOfRoom, User> {
  const users = new Map(rows.map(({ room_id, id, name }) => [keyOf({ roomId: room_id, userId: id }), { id, name }]));
  return (one) => users.get(keyOf(one));
}

const keyOf = ({ roomId, userId }: RoomOfUser): string => `${roomId} ${userId}`;
