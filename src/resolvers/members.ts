import { v7 as uuidv7 } from 'uuid';
import {
  inviteMembers as invite,
  type LogWrite,
  leaveRoom as leave,
  type MembershipChange,
  removeMember as remove,
  setAdmin as set,
} from '../db/room-log.js';
import type { Room } from '../db/rooms.js';
import { ChatError } from '../domain/errors.js';
import { parseUserId, parseUuid } from '../domain/ids.js';
import type { Viewer } from '../domain/viewer.js';
import { assertAllowed, assertMayChange } from './access.js';
import { loadRoom } from './batches.js';
import type { Deps } from './deps.js';

/** Any member invites to a GROUP. Who is a member already is passed over. */
export async function inviteMembers(
  deps: Deps,
  viewer: Viewer,
  input: { roomId: string; userIds: readonly string[] },
): Promise<{ room: Room }> {
  const { maxRoomMembers } = deps.limits;
  const userIds = input.userIds.map((id) => parseUserId(id, 'userIds'));
  if (userIds.length === 0) throw new ChatError('BAD_USER_INPUT', 'userIds must name at least one user');
  if (userIds.length > maxRoomMembers) {
    throw new ChatError('BAD_USER_INPUT', `userIds must have at most ${maxRoomMembers} entries`);
  }
  return changeMembers(deps, viewer, input.roomId, (change) => invite(deps.db, change, userIds, maxRoomMembers));
}

/** An admin removes a member; whoever wants to go leaves. */
export async function removeMember(
  deps: Deps,
  viewer: Viewer,
  input: { roomId: string; userId: string },
): Promise<{ room: Room }> {
  const userId = parseUserId(input.userId, 'userId');
  if (userId === viewer.userId) throw new ChatError('BAD_USER_INPUT', 'To go yourself, use leaveRoom');
  return changeMembers(deps, viewer, input.roomId, (change) => remove(deps.db, change, userId));
}

export async function setAdmin(
  deps: Deps,
  viewer: Viewer,
  input: { roomId: string; userId: string; isAdmin: boolean },
): Promise<{ room: Room }> {
  const userId = parseUserId(input.userId, 'userId');
  return changeMembers(deps, viewer, input.roomId, (change) => set(deps.db, change, userId, input.isAdmin));
}

/** When the last admin of a GROUP leaves, the longest member becomes one. */
export async function leaveRoom(deps: Deps, viewer: Viewer, input: { roomId: string }): Promise<{ roomId: string }> {
  const { db, feeds } = deps;
  const roomId = parseUuid(input.roomId, 'roomId');
  await assertMayChange(deps, viewer);

  const { outcome, entries } = await leave(db, { roomId, actorId: viewer.userId, messageId: uuidv7() }, uuidv7());
  assertAllowed(outcome);

  feeds.publish(entries);
  return { roomId };
}

async function changeMembers(
  deps: Deps,
  viewer: Viewer,
  roomIdText: string,
  write: (change: MembershipChange) => Promise<LogWrite>,
): Promise<{ room: Room }> {
  const { feeds } = deps;
  const roomId = parseUuid(roomIdText, 'roomId');
  await assertMayChange(deps, viewer);

  const { outcome, entries } = await write({ roomId, actorId: viewer.userId, messageId: uuidv7() });
  assertAllowed(outcome);

  feeds.publish(entries);
  return { room: await loadRoom(deps, viewer, roomId) };
}
