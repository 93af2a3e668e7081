import { type KnownMember, memberDetails } from '../db/member-row.js';
import { cursorOfMember } from '../db/members.js';
import type { Room } from '../db/rooms.js';

import type { Message } from '../domain/message.js';
import type { Onlooker, Viewer } from '../domain/viewer.js';
import type { Deps } from '../resolvers/deps.js';
import { loadLastMessage, loadMemberCount, loadMembers, loadTitle, loadUnreadCount } from '../resolvers/loaders.js';
import { listMembers } from '../resolvers/members.js';
import type { RoomRequest } from '../resolvers/rooms.js';
import { nameUsers } from '../resolvers/users.js';

/** A list of more members is left out of a room: a few of them would be more than NATS carries. They are read in pages. */
export const maxShownMembers = 100;

/** What is shown of a room to a user, to be read along with it. */
export const shownToUser: RoomRequest = {
  parts: ['title', 'memberCount', 'members', 'lastMessage', 'unreadCount'],
  memberDetails,
  // Of many large rooms, only those of the small ones are read, when all are counted.
  members: { most: 20 * maxShownMembers },
};

/** Rooms as other backends see them: the seeds' fields, and what is known besides. Six queries, however many rooms. */
export async function showRooms(deps: Deps, onlooker: Onlooker, rooms: readonly Room[]) {
  const [memberLists, lastMessages, ofUser] = await Promise.all([
    Promise.all(rooms.map((room) => loadFewMembers(deps, onlooker, room))),
    Promise.all(rooms.map((room) => loadLastMessage(deps, onlooker, room))),
    isUser(onlooker) ? showForUser(deps, onlooker, rooms) : [],
  ]);
  const names = await nameUsers(
    deps,
    memberLists.flatMap(({ members }) => members?.map(({ userId }) => userId) ?? []),
  );
  return rooms.map(({ id, name, type, bookingId, seq, cancelledAt, createdAt, updatedAt }, at) => ({
    id,
    name,
    type,
    bookingId,
    seq,
    memberCount: memberLists[at]?.memberCount,
    members: memberLists[at]?.members?.map((member) => showMember(member, names)) ?? null,
    lastMessage: lastMessages[at] == null ? null : showMessage(lastMessages[at]),
    ...ofUser[at],
    cancelledAt,
    createdAt,
    updatedAt,
  }));
}

/** A message as other backends see it: a column that is added to its row is not shown by itself. */
export function showMessage(message: Message) {
  const { id, roomId, seq, changedSeq, senderId, senderName, type } = message;
  const { content, system, createdAt, editedAt, deletedAt } = message;
  const place = { id, roomId, seq, changedSeq };
  return { ...place, senderId, senderName, type, content, system, createdAt, editedAt, deletedAt };
}

const showMember = (member: KnownMember, names: ReadonlyMap<number, string>) => {
  const { id, userId, isAdmin, joinedAt, lastReadMessageId, lastReadAt } = member;
  return { id, userId, userName: names.get(userId), isAdmin, joinedAt, lastReadMessageId, lastReadAt };
};

/** Null where they are too many. */
async function loadFewMembers(deps: Deps, onlooker: Onlooker, room: Room) {
  const memberCount = await loadMemberCount(deps, onlooker, room);
  const members = memberCount > maxShownMembers ? null : await loadMembers(deps, onlooker, room);
  return { memberCount, members };
}

/** A page of a room's members, the longest member first. */
export async function showMembers(
  deps: Deps,
  onlooker: Onlooker,
  room: Room,
  { limit, cursor }: { readonly limit: number; readonly cursor: string | null | undefined },
) {
  const [{ rows, hasNextPage }, memberCount] = await Promise.all([
    listMembers(deps, onlooker, room, { first: limit, after: cursor }),
    loadMemberCount(deps, onlooker, room),
  ]);
  const names = await nameUsers(
    deps,
    rows.map(({ userId }) => userId),
  );
  const last = rows.at(-1);
  return {
    memberCount,
    members: rows.map((member) => showMember(member, names)),
    nextCursor: hasNextPage && last !== undefined ? cursorOfMember(last) : null,
  };
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
