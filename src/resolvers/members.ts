import { v7 as uuidv7 } from 'uuid';
import type { KnownMember } from '../db/member-row.js';
import { assertMemberCursor, locateMemberPage, pageOfMembers } from '../db/members.js';
import {
  type Invitation,
  inviteMembers as invite,
  leaveRoom as leave,
  removeMember as remove,
  setAdmin as set,
} from '../db/room-log.js';
import type { Room } from '../db/rooms.js';
import { ChatError } from '../domain/errors.js';
import { parseUserId, parseUuid } from '../domain/ids.js';
import { type Page, type PageArgs, type PageRequest, parsePageArgs } from '../domain/page.js';
import type { Reader, Viewer } from '../domain/viewer.js';
import { assertAllowed, assertMayChange, assertMayIntroduce } from './access.js';
import type { Deps, Limits } from './deps.js';
import { changeRoom, type RoomRequest } from './rooms.js';

export const defaultMemberPageSize = 50;

type MemberPageArgs = Pick<PageArgs, 'first' | 'after'>;

const parseMemberPage = ({ first, after }: MemberPageArgs, { maxPageSize }: Limits): PageRequest =>
  parsePageArgs({ first: first ?? defaultMemberPageSize, after }, maxPageSize);

/** Checks everything that does not depend on the room. @throws {ChatError} BAD_USER_INPUT */
export function assertMemberPageArgs(args: MemberPageArgs, limits: Limits): void {
  const { after } = parseMemberPage(args, limits);
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
  const page = locateMemberPage(parseMemberPage(args, limits), id);
  if (preloaded?.members !== undefined) return pageOfMembers(preloaded.members, page);
  return batches.memberPages.load({ roomId: id, userId, page });
}

/** Any member may invite to a GROUP. Users who are members already are skipped. `names` are those that a backend mentions. */
export async function inviteMembers(
  deps: Deps,
  viewer: Viewer,
  input: { roomId: string; userIds: readonly string[]; names?: Invitation['names'] },
  request: RoomRequest,
): Promise<{ room: Room }> {
  const { maxRoomMembers } = deps.limits;
  const userIds = input.userIds.map((id) => parseUserId(id, 'userIds'));
  if (userIds.length === 0) throw new ChatError('BAD_USER_INPUT', 'userIds must name at least one user');
  if (userIds.length > maxRoomMembers) {
    throw new ChatError('BAD_USER_INPUT', `userIds must have at most ${maxRoomMembers} entries`);
  }
  const invitation = { userIds, names: input.names, maxMembers: maxRoomMembers, isVouched: deps.userDirectory };
  const assertMore = () => assertMayIntroduce(deps, viewer, userIds);
  const { roomId } = input;
  return changeRoom(deps, viewer, { roomId, request, named: userIds.length, assertMore }, (db, change) =>
    invite(db, change, invitation),
  );
}

/** An admin removes another member. To leave, use `leaveRoom`. */
export async function removeMember(
  deps: Deps,
  viewer: Viewer,
  input: { roomId: string; userId: string },
  request: RoomRequest,
): Promise<{ room: Room }> {
  const userId = parseUserId(input.userId, 'userId');
  if (userId === viewer.userId) throw new ChatError('BAD_USER_INPUT', 'To leave the room yourself, use leaveRoom');
  return changeRoom(deps, viewer, { ...input, request, isRemoval: true }, (db, change) => remove(db, change, userId));
}

export async function setAdmin(
  deps: Deps,
  viewer: Viewer,
  input: { roomId: string; userId: string; isAdmin: boolean },
  request: RoomRequest,
): Promise<{ room: Room }> {
  const userId = parseUserId(input.userId, 'userId');
  return changeRoom(deps, viewer, { ...input, request }, (db, change) => set(db, change, userId, input.isAdmin));
}

/** When the last admin of a GROUP leaves, the longest member becomes an admin. */
export async function leaveRoom(deps: Deps, viewer: Viewer, input: { roomId: string }): Promise<{ roomId: string }> {
  const { db, feeds, language, onHeldUp } = deps;
  const roomId = parseUuid(input.roomId, 'roomId');
  await assertMayChange(deps, viewer);

  const { outcome, entries } = await db.changes.change(
    `room ${roomId}`,
    (writes) => leave({ writes }, { roomId, actorId: viewer.userId, messageId: uuidv7(), language }, uuidv7()),
    { user: viewer.userId, onHeldUp },
  );
  assertAllowed(outcome);

  feeds.publish(entries);
  return { roomId };
}
