import { type KnownMember, memberDetails } from '../db/member-row.js';
import { cursorOfMember } from '../db/members.js';
import type { Room } from '../db/rooms.js';

import type { Message } from '../domain/message.js';
import type { Reader, Viewer } from '../domain/viewer.js';
import type { Deps } from '../resolvers/deps.js';
import { loadLastMessage, loadMemberCount, loadMembers, loadTitle, loadUnreadCount } from '../resolvers/loaders.js';
import { listMembers } from '../resolvers/member-pages.js';
import type { RoomRequest } from '../resolvers/rooms.js';
import { nameUsers } from '../resolvers/users.js';

/** Longer member lists are left out of a room, because a few of them would exceed a NATS message. Callers read them in pages. */
export const maxShownMembers = 100;

/** The parts of a room that a user sees, to be loaded in the same query. */
export const shownToUser: RoomRequest = {
  parts: ['title', 'memberCount', 'members', 'lastMessage', 'unreadCount'],
  memberDetails,
  // If the rooms have more members than this together, they are counted first, and only the lists of small rooms are loaded.
  members: { most: 20 * maxShownMembers },
};

/** Rooms as other backends see them. Takes at most three queries for any number of rooms. */
export async function showRooms(deps: Deps, reader: Reader, rooms: readonly Room[]) {
  const [memberLists, lastMessages, ofUser] = await Promise.all([
    Promise.all(rooms.map((room) => loadFewMembers(deps, reader, room))),
    Promise.all(rooms.map((room) => loadLastMessage(deps, reader, room))),
    isUser(reader) ? showForUser(deps, reader, rooms) : [],
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

/** A message as other backends see it. The explicit list keeps new columns out of the answers. */
export function showMessage(message: Message) {
  const { id, roomId, seq, changedSeq, senderId, senderName, type } = message;
  const { content, system, createdAt, editedAt, deletedAt, attachments } = message;
  const place = { id, roomId, seq, changedSeq };
  return {
    ...place,
    senderId,
    senderName,
    type,
    content,
    attachments: attachments ?? [],
    system,
    createdAt,
    editedAt,
    deletedAt,
  };
}

const showMember = (member: KnownMember, names: ReadonlyMap<number, string>) => {
  const { id, userId, isAdmin, joinedAt, lastReadMessageId, lastReadAt } = member;
  return { id, userId, userName: names.get(userId), isAdmin, joinedAt, lastReadMessageId, lastReadAt };
};

/** `members` is null if there are more than `maxShownMembers`. */
async function loadFewMembers(deps: Deps, reader: Reader, room: Room) {
  const memberCount = await loadMemberCount(deps, reader, room);
  const members = memberCount > maxShownMembers ? null : await loadMembers(deps, reader, room);
  return { memberCount, members };
}

/** A page of a room's members, the longest member first. */
export async function showMembers(
  deps: Deps,
  reader: Reader,
  room: Room,
  { limit, cursor }: { readonly limit: number; readonly cursor: string | null | undefined },
) {
  const [{ rows, hasNextPage }, memberCount] = await Promise.all([
    listMembers(deps, reader, room, { first: limit, after: cursor }),
    loadMemberCount(deps, reader, room),
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

export async function showRoom(deps: Deps, reader: Reader, room: Room) {
  const [shown] = await showRooms(deps, reader, [room]);
  return shown;
}

/** The fields of a room that depend on the user. */
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

const isUser = (reader: Reader): reader is Viewer => reader.userId !== null;
