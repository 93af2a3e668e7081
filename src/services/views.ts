import type { Room } from '../db/rooms.js';
import type { Onlooker, Viewer } from '../domain/viewer.js';
import type { Deps } from '../resolvers/deps.js';
import { loadMembers } from '../resolvers/members.js';
import { loadLastMessages, loadTitles, loadUnreadCounts } from '../resolvers/rooms.js';
import { nameUsers } from '../resolvers/users.js';

/** Rooms as other backends see them: the seeds' fields, and what is known besides. Five queries, however many rooms. */
export async function showRooms(deps: Deps, onlooker: Onlooker, rooms: readonly Room[]) {
  const ids = rooms.map(({ id }) => id);
  const [memberLists, lastMessages, ofUser] = await Promise.all([
    loadMembers(deps, onlooker, ids, false),
    loadLastMessages(deps, onlooker, ids),
    isUser(onlooker) ? showForUser(deps, onlooker, rooms) : [],
  ]);
  const names = await nameUsers(
    deps,
    memberLists.flatMap((members) => members.map(({ userId }) => userId)),
  );
  return rooms.map(({ id, name, type, bookingId, seq, cancelledAt, createdAt, updatedAt }, at) => ({
    id,
    name,
    type,
    bookingId,
    seq,
    members: memberLists[at]?.map(({ id, userId, isAdmin, joinedAt, lastReadMessageId, lastReadAt }) => ({
      id,
      userId,
      userName: names.get(userId),
      isAdmin,
      joinedAt,
      lastReadMessageId,
      lastReadAt,
    })),
    lastMessage: lastMessages[at] ?? null,
    ...ofUser[at],
    cancelledAt,
    createdAt,
    updatedAt,
  }));
}

export async function showRoom(deps: Deps, onlooker: Onlooker, room: Room) {
  const [shown] = await showRooms(deps, onlooker, [room]);
  return shown;
}

/** What a room is to one user. */
async function showForUser(deps: Deps, viewer: Viewer, rooms: readonly Room[]) {
  const ids = rooms.map(({ id }) => id);
  const [titles, unreadCounts] = await Promise.all([
    loadTitles(deps, viewer, rooms),
    loadUnreadCounts(deps, viewer, ids),
  ]);
  return rooms.map((_room, at) => ({ title: titles[at], unreadCount: unreadCounts[at] }));
}

const isUser = (onlooker: Onlooker): onlooker is Viewer => onlooker.userId !== null;
