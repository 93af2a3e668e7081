import { decodeCursor, encodeCursor, type Page, type PageRequest, toPage } from '../domain/page.js';
import type { Member } from '../domain/room-log.js';
import type { Database } from './database.js';
import { Prisma } from './generated/prisma/client.js';
import {
  type KnownMember,
  type MemberDetail,
  type MemberJson,
  memberDetails,
  memberJson,
  showMembers,
} from './member-row.js';
import { isPresent, membershipOf, type RoomOfUser } from './membership.js';

/** A position in the order of a room's members: the longest member first. */
export type MemberPosition = Pick<Member, 'joinedSeq' | 'userId'>;

export type MemberPage = PageRequest<MemberPosition>;

/** A page of a room's members, as one user sees it. */
export interface MemberPageOfUser extends RoomOfUser {
  readonly page: MemberPage;
}

export const cursorOfMember = ({ roomId, joinedSeq, userId }: Member): string =>
  encodeCursor('member', roomId, joinedSeq, userId);

const position = '(\\d{1,10}) (\\d{1,10})';
const anyRoom = new RegExp(`^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12} ${position}$`);

/** @throws {ChatError} BAD_USER_INPUT if it is not a cursor of a room's members */
export const assertMemberCursor = (cursor: string): void => void decodeCursor('member', cursor, anyRoom);

/**
 * Returns the page with the position of its cursor.
 * @throws {ChatError} BAD_USER_INPUT if the cursor is of another room, where its position means something else
 */
export function locateMemberPage({ count, after }: PageRequest, roomId: string): MemberPage {
  const page = { count, backward: false, after: undefined, before: undefined };
  if (after === undefined) return page;
  const [joinedSeq, userId] = decodeCursor('member', after, new RegExp(`^${roomId} ${position}$`)).map(Number);
  return { ...page, after: { joinedSeq: joinedSeq ?? 0, userId: userId ?? 0 } };
}

/** A page of a room's members, with the details that are selected. */
export interface MemberPageRequest {
  readonly page: MemberPage;
  readonly details: readonly MemberDetail[];
}

/**
 * The page as one value in the row of its room.
 * @param room - the room's id in the query
 */
export const memberPageJson = (room: string, { page: { count, after }, details }: MemberPageRequest): Prisma.Sql =>
  Prisma.sql`(
    SELECT json_agg(${memberJson('o', Prisma.sql`u.name`, details)} ORDER BY o.joined_seq, o.user_id)
    FROM (
      SELECT o.* FROM chat_room_members o
      WHERE o.room_id = ${Prisma.raw(room)} AND ${isPresent('o')}
        AND (o.joined_seq, o.user_id) > (${after?.joinedSeq ?? -1}::bigint, ${after?.userId ?? 0}::bigint)
      ORDER BY o.joined_seq, o.user_id LIMIT ${count + 1}::int
    ) AS o
    JOIN chat_users u ON u.id = o.user_id)`;

/** Returns the page from its value, as the user sees it. */
export const toMemberPage = (
  values: readonly MemberJson[] | null,
  { roomId, userId }: RoomOfUser,
  { page, details }: MemberPageRequest,
): Page<KnownMember> => toPage(showMembers(values ?? [], { roomId, details })(userId), page);

/** Resolves with the current or former member, as the user sees it; null if the user is not a member of the same room now. */
export async function findMember({ reads }: Database, id: string, userId: number): Promise<KnownMember | null> {
  const rows = await reads.query<{ roomId: string; member: MemberJson }>`
    SELECT o.room_id AS "roomId", ${memberJson('o', Prisma.sql`u.name`, memberDetails)} AS member
    FROM ${membershipOf(userId)} JOIN chat_room_members o ON o.room_id = me.room_id JOIN chat_users u ON u.id = o.user_id
    WHERE o.id = ${id}::uuid`;
  return (
    rows.flatMap(({ roomId, member }) => showMembers([member], { roomId, details: memberDetails })(userId))[0] ?? null
  );
}

/** Returns the page of a list that was read already, in the same order. */
export function pageOfMembers(members: readonly KnownMember[], page: MemberPage): Page<KnownMember> {
  const { after } = page;
  return toPage(after === undefined ? members : members.filter((member) => isBehind(member, after)), page);
}

const isBehind = (member: MemberPosition, after: MemberPosition): boolean =>
  member.joinedSeq > after.joinedSeq || (member.joinedSeq === after.joinedSeq && member.userId > after.userId);

/** Reads all pages in one statement, each once for all its viewers who are members now; empty for others. */
export async function findMemberPages(
  { reads }: Database,
  asked: readonly MemberPageOfUser[],
): Promise<(one: MemberPageOfUser) => Page<KnownMember>> {
  const places = new Map<string, number>();
  for (const one of asked) places.set(keyOf(one), places.get(keyOf(one)) ?? places.size);
  const wanted = asked.map(({ page }) => page);
  const rows = await reads.query<PageRow>`
    SELECT p.place, p.room_id AS "roomId", p.viewer_ids AS "viewerIds", (
      SELECT json_agg(${memberJson('m', Prisma.sql`u.name`, memberDetails)} ORDER BY m.joined_seq, m.user_id)
      FROM (
        SELECT m.* FROM chat_room_members m
        WHERE m.room_id = p.room_id AND ${isPresent('m')} AND (m.joined_seq, m.user_id) > (p.joined_seq, p.member_id)
        ORDER BY m.joined_seq, m.user_id LIMIT p.count
      ) AS m
      JOIN chat_users u ON u.id = m.user_id
    ) AS members
    FROM (
      SELECT a.place, a.room_id, a.count, a.joined_seq, a.member_id, array_agg(a.user_id) AS viewer_ids
      FROM unnest(
        ${asked.map((one) => places.get(keyOf(one)) ?? 0)}::int[], ${asked.map(({ roomId }) => roomId)}::uuid[],
        ${asked.map(({ userId }) => userId)}::int[], ${wanted.map(({ count }) => count + 1)}::int[],
        ${wanted.map(({ after }) => after?.joinedSeq ?? -1)}::bigint[], ${wanted.map(({ after }) => after?.userId ?? 0)}::bigint[]
      ) AS a(place, room_id, user_id, count, joined_seq, member_id)
      LEFT JOIN chat_room_members me ON me.room_id = a.room_id AND me.user_id = a.user_id AND ${isPresent('me')}
      WHERE me.user_id IS NOT NULL OR a.user_id IS NULL
      GROUP BY a.place, a.room_id, a.count, a.joined_seq, a.member_id
    ) AS p`;
  const pages = new Map(
    rows.map(({ place, roomId, viewerIds, members }) => [
      place,
      { viewerIds: new Set(viewerIds), membersFor: showMembers(members ?? [], { roomId, details: memberDetails }) },
    ]),
  );
  return (one) => {
    const page = pages.get(places.get(keyOf(one)) ?? -1);
    return toPage(page?.viewerIds.has(one.userId) === true ? page.membersFor(one.userId) : [], one.page);
  };
}

interface PageRow {
  readonly place: number;
  readonly roomId: string;
  readonly viewerIds: readonly (number | null)[];
  readonly members: readonly MemberJson[] | null;
}

const keyOf = ({ roomId, page: { count, after } }: MemberPageOfUser): string =>
  `${roomId} ${count} ${after?.joinedSeq} ${after?.userId}`;
