import type { KnownMember } from '../db/member-row.js';
import { assertMemberCursor, locateMemberPage, type MemberPage, pageOfMembers } from '../db/members.js';
import type { Room } from '../db/rooms.js';
import { type Page, type PageArgs, type PageRequest, parsePageArgs } from '../domain/page.js';
import type { Reader } from '../domain/viewer.js';
import type { Deps, Limits } from './deps.js';

export const defaultMemberPageSize = 50;

export type MemberPageArgs = Pick<PageArgs, 'first' | 'after'>;

const parseArgs = ({ first, after }: MemberPageArgs, { maxPageSize }: Limits): PageRequest =>
  parsePageArgs({ first: first ?? defaultMemberPageSize, after }, maxPageSize);

/** @throws {ChatError} BAD_USER_INPUT if the arguments are invalid, or the cursor belongs to another room */
export const parseMemberPage = (args: MemberPageArgs, limits: Limits, roomId: string): MemberPage =>
  locateMemberPage(parseArgs(args, limits), roomId);

/** Checks everything that does not depend on the room. @throws {ChatError} BAD_USER_INPUT */
export function assertMemberPageArgs(args: MemberPageArgs, limits: Limits): void {
  const { after } = parseArgs(args, limits);
  if (after !== undefined) assertMemberCursor(after);
}

/**
 * A page of the room's members, the longest member first; empty if the viewer is not a member any more. All pages that are
 * requested in one turn are one statement. Members who join or leave meanwhile do not shift the page after a cursor.
 * @throws {ChatError} BAD_USER_INPUT if the cursor belongs to another room
 */
export async function listMembers(
  { batches, limits }: Deps,
  { userId }: Reader,
  { id, preloaded }: Pick<Room, 'id' | 'preloaded'>,
  args: MemberPageArgs,
): Promise<Page<KnownMember>> {
  const page = parseMemberPage(args, limits, id);
  const known = preloaded?.memberPage;
  if (known !== undefined && isSamePage(known.request, page)) return known.page;
  if (preloaded?.members !== undefined) return pageOfMembers(preloaded.members, page);
  return batches.memberPages.load({ roomId: id, userId, page });
}

/** One document can ask for several pages of the same room. */
const isSamePage = (a: MemberPage, b: MemberPage): boolean =>
  a.count === b.count && a.after?.joinedSeq === b.after?.joinedSeq && a.after?.userId === b.after?.userId;
