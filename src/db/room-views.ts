import type { Epochs } from '../domain/epoch.js';
import type { Member } from '../domain/room-log.js';
import type { View } from './batch.js';
import type { Database } from './database.js';
import { type EpochValues, epochsOfRoom, toEpochs } from './epochs.js';
import { Prisma } from './generated/prisma/client.js';
import { type MemberRow, memberDetails, memberRow, nameOfMember } from './member-row.js';
import { isPresent } from './membership.js';
import { countMembersOf, isEver, lastMessage, listMembersOf, type Part, title, unreadCount } from './room-parts.js';
import { type RoomRow, roomRow } from './room-row.js';
import type { Room } from './rooms.js';
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
const askers = (asked: readonly RoomOfUser[]): Prisma.Sql => Prisma.sql`
  SELECT a.room_id, array_agg(a.user_id) AS viewer_ids
  FROM unnest(${asked.map(({ roomId }) => roomId)}::uuid[], ${asked.map(({ userId }) => userId)}::int[]) AS a(room_id, user_id)
  LEFT JOIN chat_room_members m ON m.room_id = a.room_id AND m.user_id = a.user_id AND ${isPresent('m')}
  WHERE m.user_id IS NOT NULL OR a.user_id IS NULL GROUP BY a.room_id`;

/** One membership for each asker who has one now, as `m`. */
const memberships = (asked: readonly RoomOfUser[]): Prisma.Sql => Prisma.sql`
  unnest(${asked.map(({ roomId }) => roomId)}::uuid[], ${asked.map(({ userId }) => userId)}::int[]) AS a(room_id, user_id)
  JOIN chat_room_members m ON m.room_id = a.room_id AND m.user_id = a.user_id AND ${isPresent('m')}`;

interface SharedRow {
  readonly roomId: string;
  readonly viewerIds: readonly (number | null)[];
}

/** One row a room, for all members who ask. */
function shared<Row extends SharedRow, Value>(
  rows: readonly Row[],
  read: (row: Row) => (userId: number | null) => Value | undefined,
): RoomView<Value> {
  const rooms = new Map(rows.map((row) => [row.roomId, { viewerIds: new Set(row.viewerIds), valueFor: read(row) }]));
  return ({ roomId, userId }) => {
    const room = rooms.get(roomId);
    return room?.viewerIds.has(userId) === true ? room.valueFor(userId) : undefined;
  };
}

/** A part of the room, as each member sees it. */
async function viewPart<Json, Value>(
  { reads }: Database,
  asked: readonly RoomOfUser[],
  { sql, join, read }: Part<Json, Value>,
): Promise<RoomView<Value>> {
  const rows = await reads.query<SharedRow & { readonly value: Json }>`
    WITH me AS MATERIALIZED (${askers(asked)})
    SELECT me.room_id AS "roomId", me.viewer_ids AS "viewerIds", ${sql('me.room_id')} AS value
    FROM me ${join?.(Prisma.sql`SELECT room_id FROM me`, 'me.room_id') ?? Prisma.empty}`;
  return shared(rows, ({ value, roomId }) => read(value, roomId));
}

/** To each member their own. */
function own<Row extends RoomOfUser, Value>(rows: readonly Row[], toValue: (row: Row) => Value): RoomView<Value> {
  const values = new Map(rows.map((row) => [keyOf(row), toValue(row)]));
  return (one) => values.get(keyOf(one));
}

export async function findRooms({ reads }: Database, asked: readonly RoomOfUser[]): Promise<RoomView<Room>> {
  const rows = await reads.query<RoomRow & SharedRow>`
    SELECT ${roomRow.select('r')}, r.id AS "roomId", me.viewer_ids AS "viewerIds"
    FROM (${askers(asked)}) AS me JOIN chat_rooms r ON r.id = me.room_id`;
  return shared(rows, (row) => {
    const room = roomRow.decode(row);
    return () => room;
  });
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
  viewPart(db, asked, listMembersOf(isPresent, { details: memberDetails }));

/** Everybody who is or ever was in the room, the longest member first. */
export const findEverMembers = (db: Database, asked: readonly RoomOfUser[]) =>
  viewPart(db, asked, listMembersOf(isEver, { details: memberDetails }));

/** Everybody who is in the room. */
export const countMembers = (db: Database, asked: readonly RoomOfUser[]) =>
  viewPart(db, asked, countMembersOf(isPresent));

/** Everybody who is or ever was in the room. */
export const countEverMembers = (db: Database, asked: readonly RoomOfUser[]) =>
  viewPart(db, asked, countMembersOf(isEver));

export const findTitles = (db: Database, asked: readonly RoomOfUser[]) => viewPart(db, asked, title);

export const findLastMessages = (db: Database, asked: readonly RoomOfUser[]) => viewPart(db, asked, lastMessage);

/** Each asker's own count. */
export async function countUnread({ reads }: Database, asked: readonly RoomOfUser[]): Promise<RoomView<number>> {
  const rows = await reads.query<RoomOfUser & { unread: number }>`
    SELECT m.room_id AS "roomId", m.user_id AS "userId", ${unreadCount.sql('m.room_id')} AS unread FROM ${memberships(asked)}`;
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
