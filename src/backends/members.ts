import type { z } from 'zod';
import { noParts } from '../db/rooms.js';
import { platform, viewerOf } from '../domain/viewer.js';
import type { Deps } from '../resolvers/deps.js';
import { loadRoom } from '../resolvers/loaders.js';
import { inviteMembers, leaveRoom, removeMember } from '../resolvers/members.js';
import {
  assertLimit,
  limit,
  memberNames,
  optionalText,
  pairNames,
  payload,
  renameField,
  someMemberIds,
  userId,
  uuid,
} from './payloads.js';
import { service } from './service.js';
import { maxShownMembers, showMembers, shownToUser, showRoom } from './views.js';

const addPayload = payload({ roomId: uuid, userId, memberIds: someMemberIds, memberNames });

async function add(deps: Deps, { roomId, userId, memberIds, memberNames }: z.infer<typeof addPayload>) {
  const viewer = viewerOf(userId);
  const users = pairNames({ memberIds, memberNames }, deps.limits.maxRoomMembers);
  const invitation = {
    roomId,
    userIds: memberIds.map(String),
    names: memberNames == null ? undefined : users.map(({ userName }) => userName),
  };
  const { room } = await inviteMembers(deps, viewer, invitation, shownToUser).catch(renameField('memberIds'));
  return { data: await showRoom(deps, viewer, room) };
}

const listPayload = payload({ roomId: uuid, userId: userId.nullish(), limit: limit.nullish(), cursor: optionalText });

async function list(deps: Deps, { roomId, userId, limit, cursor }: z.infer<typeof listPayload>) {
  const reader = userId == null ? platform : viewerOf(userId);
  const { maxPageSize } = deps.limits;
  const page = { limit: assertLimit(limit ?? Math.min(maxShownMembers, maxPageSize), maxPageSize), cursor };
  return { data: await showMembers(deps, reader, await loadRoom(deps, reader, roomId), page) };
}

const removePayload = payload({ roomId: uuid, userId, memberId: userId.nullish() });

async function remove(deps: Deps, { roomId, userId, memberId }: z.infer<typeof removePayload>) {
  const viewer = viewerOf(userId);
  if (memberId == null || memberId === userId) await leaveRoom(deps, viewer, { roomId });
  else await removeMember(deps, viewer, { roomId, userId: String(memberId) }, noParts).catch(renameField('memberId'));
  return { data: { roomId, userId: memberId ?? userId } };
}

export const memberServices = [
  service(
    'chat.rooms.members',
    '`{ members, memberCount, nextCursor }`, the longest member first, by default 100',
    listPayload,
    list,
  ),
  service('chat.rooms.addMember', 'the room; `userId` invites `memberIds`', addPayload, add),
  service(
    'chat.rooms.removeMember',
    '`{ roomId, userId }` of the user who went: `userId` leaves or, as an admin, removes `memberId`',
    removePayload,
    remove,
  ),
];
