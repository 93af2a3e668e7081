import { type KnownMember, memberDetails } from '../db/member-row.js';
import type { MessageReader, PagedMessage } from '../db/messages.js';
import type { LogHead } from '../db/room-views.js';
import { noParts, type Room, type RoomPart, type RoomParts, type RoomSelection } from '../db/rooms.js';
import type { User, UserProfile } from '../db/user-row.js';
import { ChatError } from '../domain/errors.js';
import type { Message } from '../domain/message.js';
import type { Presence } from '../domain/presence.js';
import type { Reader, Viewer } from '../domain/viewer.js';
import type { Deps } from './deps.js';

/** One user per id; a user without a name, or unknown to the chat, is "#5". */
export const loadUsers = ({ batches }: Deps, ids: readonly number[]): Promise<(User | Error)[]> =>
  batches.users.loadMany(ids);

/** The user, or only their number if the name has to be read, for `loadUsers`. A viewer who sees the number may see the name. */
export const keptUser = ({ nameCache }: Deps, userId: number): User | number => nameCache.get(userId) ?? userId;

/**
 * The user with the picture. Whoever sees no name sees no picture either; a viewer who sees the name may see the rest.
 */
export function loadProfile({ batches, nameCache }: Deps, user: User): UserProfile | Promise<UserProfile> {
  const { id, name, avatarUrl, isDeleted } = user;
  if (name === null) return { id, name, avatarUrl: null, isDeleted: false };
  if (avatarUrl !== undefined && isDeleted !== undefined) return { id, name, avatarUrl, isDeleted };
  return nameCache.get(id) ?? batches.users.load(id);
}

/** The user as the viewer may see them: "#5" if the user directory is off and they share no room. */
export function loadShownUser(
  { batches, nameCache, userDirectory }: Deps,
  viewer: Viewer,
  userId: number,
): User | Promise<User> {
  if (userDirectory || userId === viewer.userId) return nameCache.get(userId) ?? batches.users.load(userId);
  // Not kept: it ends with the last room that they share.
  return batches.knownUsers.load({ viewerId: viewer.userId, userId });
}

/**
 * Charges the operation for the entries of a list, before they are loaded or returned.
 * @throws {ChatError} BAD_USER_INPUT if one answer may not have so many
 */
export type Afford = (entries: number) => void;

/** Current and former members, as they are shown in the room, which is the same for every viewer. @throws as `afford` does */
export function loadMemberUsers(
  { batches, nameCache }: Deps,
  roomId: string,
  userIds: readonly number[],
  afford: Afford,
): User[] | Promise<User[]> {
  afford(userIds.length);
  const kept = userIds.map((userId) => nameCache.getMember(roomId, userId));
  if (kept.every((user) => user !== undefined)) return kept;
  return userIds.every((userId) => nameCache.isConfirmed(roomId, userId))
    ? Promise.all(userIds.map((userId) => batches.users.load(userId)))
    : batches.memberUsers.load({ roomId, userIds });
}

/** The user who caused an entry, as they are shown in its room; a user who was never in it, by their name. */
export const loadActor = ({ batches, nameCache }: Deps, roomId: string, userId: number): User | Promise<User> =>
  nameCache.getMember(roomId, userId) ?? batches.actors.load({ roomId, userId });

/** The other member of a DIRECT room, as they are shown there; null in other rooms. */
export function loadPeer(deps: Deps, { userId }: Viewer, { id, directKey }: Room): User | Promise<User> | null {
  const peerId = directKey?.split(':').find((memberId) => memberId !== String(userId));
  return peerId === undefined ? null : loadActor(deps, id, Number(peerId));
}

/**
 * The room with the selected parts, as of one moment.
 * @throws {ChatError} NOT_FOUND if the viewer is not a member of the room any more
 */
export const loadRoom = async (
  { batches }: Deps,
  { userId }: Reader,
  roomId: string,
  selection: RoomSelection = noParts,
): Promise<Room> => found(await batches.rooms.load({ roomId, userId, selection }));

/** A room's id, with the parts that were loaded in the same query, if any. */
type RoomInHand = Pick<Room, 'id' | 'preloaded'>;

/**
 * A part that was not loaded with the room. All parts that are requested in one turn are of one moment; all of them are
 * undefined if the reader is not a member any more.
 */
async function loadPart<Name extends RoomPart>(
  deps: Deps,
  { userId }: Reader,
  { id: roomId }: RoomInHand,
  name: Name,
): Promise<RoomParts[Name] | undefined> {
  const room = await deps.batches.rooms.load({ roomId, userId, selection: { parts: [name], memberDetails } });
  return room?.preloaded?.[name];
}

/** The room's name, or a title from the names of its members. */
export const loadTitle = async (deps: Deps, viewer: Viewer, room: Room): Promise<string> =>
  room.name ?? room.preloaded?.title ?? (await loadPart(deps, viewer, room, 'title')) ?? '';

/** Options of a member list; without `afford` its length is not limited. */
interface MemberList {
  readonly includeLeft?: boolean;
  readonly afford?: Afford;
}

/** The longest member first; counted before they are loaded. @throws as `afford` does */
export async function loadMembers(
  deps: Deps,
  reader: Reader,
  room: RoomInHand,
  { includeLeft = false, afford }: MemberList = {},
): Promise<readonly KnownMember[]> {
  const { batches } = deps;
  const asked = { roomId: room.id, userId: reader.userId };
  if (!includeLeft && room.preloaded?.members !== undefined) {
    afford?.(room.preloaded.members.length);
    return room.preloaded.members;
  }
  if (afford !== undefined) {
    afford(await (includeLeft ? batches.everMemberCounts.load(asked) : loadMemberCount(deps, reader, room)));
  }
  return includeLeft ? batches.everMembers.load(asked) : ((await loadPart(deps, reader, room, 'members')) ?? []);
}

export const loadMemberCount = async (deps: Deps, reader: Reader, room: RoomInHand): Promise<number> =>
  room.preloaded?.memberCount ??
  room.preloaded?.members?.length ??
  (await loadPart(deps, reader, room, 'memberCount')) ??
  0;

/** The viewer's own membership. @throws {ChatError} NOT_FOUND if it has ended */
export const loadMembership = ({ batches }: Deps, { userId }: Viewer, { id, preloaded }: RoomInHand) =>
  preloaded?.viewerMember ?? batches.memberships.load({ roomId: id, userId }).then(found);

/** 0 if the viewer is not a member any more. */
export const loadUnreadCount = async (deps: Deps, viewer: Viewer, room: RoomInHand): Promise<number> =>
  room.preloaded?.unreadCount ?? (await loadPart(deps, viewer, room, 'unreadCount')) ?? 0;

/** Null if the viewer is not a member any more. */
export const loadFirstUnreadMessage = async (deps: Deps, viewer: Viewer, room: Room): Promise<Message | null> =>
  room.preloaded?.firstUnreadMessage !== undefined
    ? room.preloaded.firstUnreadMessage
    : ((await loadPart(deps, viewer, room, 'firstUnreadMessage')) ?? null);

export const loadLastMessage = async (deps: Deps, reader: Reader, room: RoomInHand): Promise<Message | null> =>
  room.preloaded?.lastMessage !== undefined
    ? room.preloaded.lastMessage
    : ((await loadPart(deps, reader, room, 'lastMessage')) ?? null);

/** Always OFFLINE for a user who shares no room with the viewer. */
export const loadPresence = ({ batches }: Deps, viewer: Viewer, userId: number): Promise<Presence> =>
  batches.presences.load({ viewerId: viewer.userId, userId });

/** The head of the room's log; null if the viewer is not a member. */
export const loadMemberHead = ({ batches }: Deps, { userId }: Viewer, roomId: string): Promise<LogHead | null> =>
  batches.memberHeads.load({ roomId, userId });

/** How many other members have read the message. */
export const loadReadCount = ({ batches }: Deps, { userId }: Viewer, message: PagedMessage) =>
  message.readCount ?? batches.readCounts.load({ message, userId });

/** How many members have not read the message, although they could have. */
export const loadUnreadMemberCount = ({ batches }: Deps, { userId }: Viewer, message: PagedMessage) =>
  message.unreadMemberCount ?? batches.unreadMemberCounts.load({ message, userId });

/** The other members who have read the message, and when; counted before they are loaded. @throws as `afford` does */
export async function loadReaders(
  deps: Deps,
  viewer: Viewer,
  message: PagedMessage,
  afford: Afford,
): Promise<readonly MessageReader[]> {
  const count = await loadReadCount(deps, viewer, message);
  afford(count);
  return count === 0 ? [] : deps.batches.readers.load({ message, userId: viewer.userId });
}

/** @throws {ChatError} NOT_FOUND for null */
export function found<T>(value: T | null): T {
  if (value === null) throw new ChatError('NOT_FOUND', 'There is no such room, or you are not a member');
  return value;
}
