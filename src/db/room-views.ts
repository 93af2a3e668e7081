import type { Epochs } from '../domain/epoch.js';
import type { Member } from '../domain/room-log.js';
import type { View } from './batch.js';
import type { Database } from './database.js';
import { type EpochValues, epochsOfRoom, toEpochs } from './epochs.js';
import { Prisma } from './generated/prisma/client.js';
import { type MemberRow, memberDetails, memberRow, nameOfMember } from './member-row.js';
import { isPresent, type RoomOfUser } from './membership.js';
import { countMembersOf, isEver, listMembersOf, type Part } from './room-parts.js';
import { type RoomRow, roomRow } from './room-row.js';
import { partsOf, type Room, type RoomPart, type RoomSelection, roomParts } from './rooms.js';
import type { UserProfile } from './user-row.js';

type RoomView<Value> = View<RoomOfUser, Value>;

/**
 * The requested rooms, each with those of its viewers who are members now. A viewer of a room may have been removed since it
 * was loaded, and must not see anything later.
 */
const askers = (asked: readonly RoomOfUser[]): Prisma.Sql => Prisma.sql`
  SELECT a.room_id, array_agg(a.user_id) AS viewer_ids
  FROM unnest(${asked.map(({ roomId }) => roomId)}::uuid[], ${asked.map(({ userId }) => userId)}::int[]) AS a(room_id, user_id)
  LEFT JOIN chat_room_members m ON m.room_id = a.room_id AND m.user_id = a.user_id AND ${isPresent('m')}
  WHERE m.user_id IS NOT NULL OR a.user_id IS NULL GROUP BY a.room_id`;

/** The current memberships of the viewers, as `m`. */
const memberships = (asked: readonly RoomOfUser[]): Prisma.Sql => Prisma.sql`
  unnest(${asked.map(({ roomId }) => roomId)}::uuid[], ${asked.map(({ userId }) => userId)}::int[]) AS a(room_id, user_id)
  JOIN chat_room_members m ON m.room_id = a.room_id AND m.user_id = a.user_id AND ${isPresent('m')}`;

interface SharedRow {
  readonly roomId: string;
  readonly viewerIds: readonly (number | null)[];
}

/** One row per room, for all its viewers who are members. */
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

/** Reads a part of each room, as each member sees it. */
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

/** One row per member. */
function own<Row extends RoomOfUser, Value>(rows: readonly Row[], toValue: (row: Row) => Value): RoomView<Value> {
  const values = new Map(rows.map((row) => [keyOf(row), toValue(row)]));
  return (one) => values.get(keyOf(one));
}

/** A room as one user sees it, and its parts to read in the same statement. */
export interface RoomWithParts extends RoomOfUser {
  readonly selection: Omit<RoomSelection, 'history'>;
}

/** These parts are read for each viewer, all others once for all viewers of a room. */
const ownParts: readonly RoomPart[] = ['unreadCount', 'firstUnreadMessage', 'viewerMember'];
const sharedParts = roomParts.filter((name) => !ownParts.includes(name));

/** A set of parts as the bits of a number, so that one statement serves every selection. */
const toBits = (names: readonly RoomPart[]): number =>
  names.reduce((bits, name) => bits | (1 << roomParts.indexOf(name)), 0);
const isIn = (bits: string, name: RoomPart): Prisma.Sql => Prisma.raw(`${bits} & ${toBits([name])} <> 0`);
const noLimit = 2 ** 31 - 1;

/**
 * Reads each room with its parts for each viewer who is a member, all in one statement: parts that were loaded later would be
 * missing if the membership ended meanwhile. All requests for one room by one user get the same object, with the parts of all
 * of them. It has no members if there are more of them than the request's maximum.
 */
export async function findRooms(
  { reads }: Database,
  asked: readonly RoomWithParts[],
): Promise<View<RoomWithParts, Room>> {
  const pairs = mergeRequests(asked);
  const details = memberDetails.filter((name) => asked.some(({ selection }) => selection.memberDetails.includes(name)));
  const parts: Readonly<Record<RoomPart, Part<never, unknown>>> = partsOf({ parts: [], memberDetails: details });
  const [ofRoom, ofViewer] = [sharedParts, ownParts].map((names) =>
    names.map(
      (name) => (bits: string) => Prisma.sql`CASE WHEN ${isIn(bits, name)} THEN ${parts[name].sql('r.id')} END`,
    ),
  ) as [PartSql[], PartSql[]];
  const listed = Prisma.sql`
    SELECT me.room_id FROM me
    WHERE ${isIn('me.parts', 'members')} AND ${parts.memberCount.sql('me.room_id')} <= me.max_members`;
  const rows = await reads.query<RoomWithViewers>`
    WITH me AS MATERIALIZED (
      SELECT a.room_id, bit_or(a.parts) AS parts, max(a.max_members) AS max_members,
        json_agg(json_build_array(a.user_id, a.parts, ${Prisma.join(ofViewer.map((sql) => sql('a.parts')))})) AS viewers
      FROM unnest(
        ${pairs.map(({ roomId }) => roomId)}::uuid[], ${pairs.map(({ userId }) => userId)}::int[],
        ${pairs.map(({ bits }) => bits)}::int[], ${pairs.map(({ maxMembers }) => maxMembers)}::int[]
      ) AS a(room_id, user_id, parts, max_members)
      LEFT JOIN chat_room_members m ON m.room_id = a.room_id AND m.user_id = a.user_id AND ${isPresent('m')}
      WHERE m.user_id IS NOT NULL OR a.user_id IS NULL GROUP BY a.room_id
    )
    SELECT ${roomRow.select('r')}, me.viewers, json_build_array(${Prisma.join(ofRoom.map((sql) => sql('me.parts')))}) AS shared
    FROM me JOIN chat_rooms r ON r.id = me.room_id ${parts.members.join?.(listed, 'r.id') ?? Prisma.empty}`;
  const rooms = new Map<string, Room>();
  for (const row of rows) {
    const room = roomRow.decode(row);
    const read = (names: readonly RoomPart[], values: readonly unknown[]) =>
      names.map((name, place) => [name, parts[name].read(values[place] as never, room.id)] as const);
    const shared = read(sharedParts, row.shared);
    for (const [userId, bits, ...own] of row.viewers) {
      const preloaded = [...shared, ...read(ownParts, own)]
        .filter(([name]) => (bits & toBits([name])) !== 0)
        .map(([name, valueFor]) => [name, valueFor(userId)] as const)
        .filter(([, value]) => value !== undefined);
      rooms.set(keyOf({ roomId: room.id, userId }), { ...room, preloaded: Object.fromEntries(preloaded) });
    }
  }
  return (one) => rooms.get(keyOf(one));
}

type PartSql = (bits: string) => Prisma.Sql;

interface RoomWithViewers extends RoomRow {
  readonly shared: readonly unknown[];
  /** Each with the parts that they requested, and those of their own. */
  readonly viewers: readonly (readonly [userId: number | null, bits: number, ...own: unknown[]])[];
}

/** One request for each room and user. */
function mergeRequests(asked: readonly RoomWithParts[]) {
  const pairs = new Map<string, RoomOfUser & { readonly bits: number; readonly maxMembers: number }>();
  for (const { roomId, userId, selection } of asked) {
    const key = keyOf({ roomId, userId });
    const { bits = 0, maxMembers = 0 } = pairs.get(key) ?? {};
    pairs.set(key, {
      roomId,
      userId,
      bits: bits | toBits(selection.parts),
      maxMembers: Math.max(maxMembers, Math.min(selection.maxMembers ?? noLimit, noLimit)),
    });
  }
  return [...pairs.values()];
}

/** Whether a room is open for writing, and the position of its log. */
export interface Writing {
  readonly isOpen: boolean;
  readonly seq: number;
}

/** What decides what a member may do in a room. */
export interface Permission extends Writing {
  readonly isAdmin: boolean;
}

/** The same with the log's epochs. */
export interface LogHead extends Writing {
  readonly epochs: Epochs;
  /** How long ago each epoch began; if the clock was set back to before that, how far its start is dated ahead. */
  readonly epochAgesMs: readonly number[];
}

/** The head of a room's log, beside a member who may see it. */
export interface MemberHead extends UserOfRoom {
  readonly head: LogHead;
}

/** Finds the head for each viewer who is a member, as of one moment. Waits for its turn, as replays do. */
export async function findMemberHeads(db: Database, asked: readonly RoomOfUser[]): Promise<MemberHead[]> {
  const rows = await db.replay(
    (connection) => connection.query<HeadRow>`
      SELECT ${shownMember}, ${writing}, ${epochsOfRoom} AS epochs, age.ms AS "epochAgesMs"
      FROM ${memberships(asked)} JOIN chat_rooms r ON r.id = m.room_id JOIN chat_users u ON u.id = m.user_id, (
        SELECT array_agg(abs(extract(epoch FROM clock_timestamp() - e.began_at))::float8 * 1000 ORDER BY e.number) AS ms
        FROM chat_epochs e
      ) age`,
  );
  return rows.map(({ isOpen, seq, epochs, epochAgesMs, ...member }) => ({
    ...member,
    head: { isOpen, seq, epochs: toEpochs(epochs), epochAgesMs },
  }));
}

const writing = Prisma.sql`r.cancelled_at IS NULL AS "isOpen", r.seq`;

interface HeadRow extends UserOfRoom, Writing {
  readonly epochs: EpochValues;
  readonly epochAgesMs: readonly number[];
}

/** Finds the viewer's own membership. */
export async function findMemberships({ reads }: Database, asked: readonly RoomOfUser[]): Promise<RoomView<Member>> {
  const rows = await reads.query<MemberRow>`SELECT ${memberRow.select('m')} FROM ${memberships(asked)}`;
  return own(rows, memberRow.decode);
}

/** Finds this for each viewer who is a member, as of one moment. */
export async function findPermissions(
  { reads }: Database,
  asked: readonly RoomOfUser[],
): Promise<RoomView<Permission>> {
  const rows = await reads.query<RoomOfUser & Permission>`
    SELECT m.room_id AS "roomId", m.user_id AS "userId", m.is_admin AS "isAdmin", ${writing}
    FROM ${memberships(distinct(asked))} JOIN chat_rooms r ON r.id = m.room_id`;
  return own(rows, ({ isOpen, seq, isAdmin }) => ({ isOpen, seq, isAdmin }));
}

/** Finds all current and former members, the longest member first. */
export const findEverMembers = (db: Database, asked: readonly RoomOfUser[]) =>
  viewPart(db, asked, listMembersOf(isEver, { details: memberDetails }));

/** Counts current and former members. */
export const countEverMembers = (db: Database, asked: readonly RoomOfUser[]) =>
  viewPart(db, asked, countMembersOf(isEver));

/** A current or former member of a room. */
export interface MemberOfRoom {
  readonly roomId: string;
  readonly userId: number;
}

/** A user with the name that is shown in the room. */
export interface UserOfRoom extends UserProfile {
  readonly roomId: string;
  /** Whether they are or were a confirmed member. It never becomes false again. */
  readonly isConfirmed: boolean;
}

const shownMember = Prisma.sql`
  m.room_id AS "roomId", u.id, ${nameOfMember('m', 'u')} AS name, m.is_confirmed AS "isConfirmed",
  CASE WHEN m.is_confirmed THEN u.avatar_url END AS "avatarUrl", m.is_confirmed AND u.deleted_at IS NOT NULL AS "isDeleted"`;

/** Finds members with the names that are shown in the room. */
export const findMemberUsers = ({ reads }: Database, asked: readonly MemberOfRoom[]): Promise<UserOfRoom[]> =>
  reads.query<UserOfRoom>`
    SELECT ${shownMember} FROM ${usersOfRooms(asked)}
    JOIN chat_room_members m ON m.room_id = a.room_id AND m.user_id = a.user_id JOIN chat_users u ON u.id = m.user_id`;

/** Finds actors of entries with the names that are shown in the room; users who were never in it keep theirs. */
export const findActors = ({ reads }: Database, asked: readonly MemberOfRoom[]): Promise<UserOfRoom[]> =>
  reads.query<UserOfRoom>`
    SELECT a.room_id AS "roomId", u.id, CASE WHEN m.is_confirmed IS NOT FALSE THEN u.name END AS name,
      CASE WHEN m.is_confirmed IS NOT FALSE THEN u.avatar_url END AS "avatarUrl",
      m.is_confirmed IS NOT FALSE AND u.deleted_at IS NOT NULL AS "isDeleted", m.is_confirmed IS TRUE AS "isConfirmed"
    FROM ${usersOfRooms(asked)} JOIN chat_users u ON u.id = a.user_id
    LEFT JOIN chat_room_members m ON m.room_id = a.room_id AND m.user_id = a.user_id`;

/** Each pair once, as `a`, because many viewers may request the same list. */
function usersOfRooms(asked: readonly MemberOfRoom[]): Prisma.Sql {
  const pairs = distinct(asked);
  return Prisma.sql`unnest(
    ${pairs.map(({ roomId }) => roomId)}::uuid[], ${pairs.map(({ userId }) => userId)}::int[]) AS a(room_id, user_id)`;
}

const distinct = <One extends RoomOfUser>(asked: readonly One[]): One[] => [
  ...new Map(asked.map((one) => [keyOf(one), one])).values(),
];

const keyOf = ({ roomId, userId }: RoomOfUser): string => `${roomId} ${userId}`;
