import { v7 as uuidv7 } from 'uuid';
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
import type { Viewer } from '../domain/viewer.js';
import { assertAllowed, assertMayChange, assertMayIntroduce } from './access.js';
import type { Deps } from './deps.js';
import { changeRoom, type RoomRequest } from './rooms.js';

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
