import type { Room } from '../db/rooms.js';
import { memberDetails } from '../db/rows.js';
import type { Onlooker, Viewer } from '../domain/viewer.js';
import { loadLastMessage, loadMembers, loadTitle, loadUnreadCount } from '../resolvers/batches.js';
import type { Deps } from '../resolvers/deps.js';
import type { RoomRequest } from '../resolvers/rooms.js';
import { nameUsers } from '../resolvers/users.js';

/** What is shown of a room to a user, to be read along with it. */
export const shownToUser: RoomRequest = { parts: ['title', 'members', 'lastMessage', 'unreadCount'], memberDetails };

/** Rooms as other backends see them: the seeds' fields, and what is known besides. Five queries, however many rooms. */
export async function showRooms(deps: Deps, onlooker: Onlooker, rooms: readonly Room[]) {
  const [memberLists, lastMessages, ofUser] = await Promise.all([
    Promise.all(rooms.map((room) => loadMembers(deps, onlooker, room, false))),
    Promise.all(rooms.map((room) => loadLastMessage(deps, onlooker, room))),
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
  return Promise.all(
    rooms.map(async (room) => {
      const [title, unreadCount] = await Promise.all([
        loadTitle(deps, viewer, room),
        loadUnreadCount(deps, viewer, room),
      ]);
      return { title, unreadCount };
    }),
  );
}

const isUser = (onlooker: Onlooker): onlooker is Viewer => onlooker.userId !== null;
