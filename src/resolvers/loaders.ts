import type { KnownMember } from '../db/member-row.js';
import type { PagedMessage, Reader } from '../db/messages.js';
import type { LogHead } from '../db/room-views.js';
import type { Room } from '../db/rooms.js';
import type { User } from '../db/user-row.js';
import { ChatError } from '../domain/errors.js';
import type { Presence } from '../domain/presence.js';
import type { Onlooker, Viewer } from '../domain/viewer.js';
import type { Deps } from './deps.js';

/** One user a key: "#5" where nobody has named them or the chat never heard of them. */
export const loadUsers = ({ batches }: Deps, ids: readonly number[]): Promise<(User | Error)[]> =>
  batches.users.loadMany(ids);

/** The user as this viewer may know of them: "#5" where the user directory is off and they share no room. */
export const loadShownUser = ({ batches, userDirectory }: Deps, viewer: Viewer, userId: number): Promise<User> =>
  userDirectory ? batches.users.load(userId) : batches.knownUsers.load({ viewerId: viewer.userId, userId });

/**
 * Pays for the entries of a list before they are loaded, or shown where they are at hand.
 * @throws {ChatError} BAD_USER_INPUT where they are more than who asks can have in one answer
 */
export type Afford = (entries: number) => void;

/** Users who are or were in the room, as they are shown there: the same for every viewer. @throws as `afford` does */
export async function loadMemberUsers(
  { batches }: Deps,
  roomId: string,
  userIds: readonly number[],
  afford: Afford,
): Promise<User[]> {
  afford(userIds.length);
  return userIds.length === 0 ? [] : batches.memberUsers.load({ roomId, userIds });
}

/** Who caused an entry, as they are shown in its room; who was never in it, by their name. */
export const loadActor = ({ batches }: Deps, roomId: string, userId: number): Promise<User> =>
  batches.actors.load({ roomId, userId });

/** @throws {ChatError} NOT_FOUND where the viewer is no member of the room any more */
export const loadRoom = async ({ batches }: Deps, { userId }: Onlooker, roomId: string): Promise<Room> =>
  found(await batches.rooms.load({ roomId, userId }));

/** The room's name, or what its members make of it. */
export const loadTitle = ({ batches }: Deps, { userId }: Viewer, { id, name, along }: Room): string | Promise<string> =>
  name ?? along?.title ?? batches.titles.load({ roomId: id, userId });

/** A room, as its id or with what has been read along with it. */
type RoomInHand = Pick<Room, 'id' | 'along'>;

/** Which list of a room's members, and what pays for it; without that, whoever asks may have all. */
interface MemberList {
  readonly includeLeft?: boolean;
  readonly afford?: Afford;
}

/** The longest member first; counted before they are loaded. @throws as `afford` does */
export async function loadMembers(
  deps: Deps,
  onlooker: Onlooker,
  room: RoomInHand,
  { includeLeft = false, afford }: MemberList = {},
): Promise<readonly KnownMember[]> {
  const { batches } = deps;
  const asked = { roomId: room.id, userId: onlooker.userId };
  if (!includeLeft && room.along?.members !== undefined) {
    afford?.(room.along.members.length);
    return room.along.members;
  }
  if (afford !== undefined) {
    afford(await (includeLeft ? batches.everMemberCounts.load(asked) : loadMemberCount(deps, onlooker, room)));
  }
  return (includeLeft ? batches.everMembers : batches.members).load(asked);
}

export const loadMemberCount = ({ batches }: Deps, { userId }: Onlooker, { id, along }: RoomInHand) =>
  along?.memberCount ?? along?.members?.length ?? batches.memberCounts.load({ roomId: id, userId });

/** The viewer's own. @throws {ChatError} NOT_FOUND where it has ended */
export const loadMembership = ({ batches }: Deps, { userId }: Viewer, { id, along }: RoomInHand) =>
  along?.viewerMember ?? batches.memberships.load({ roomId: id, userId }).then(found);

export const loadUnreadCount = ({ batches }: Deps, { userId }: Viewer, { id, along }: RoomInHand) =>
  along?.unreadCount ?? batches.unreadCounts.load({ roomId: id, userId });

export const loadLastMessage = ({ batches }: Deps, { userId }: Onlooker, { id, along }: RoomInHand) =>
  along?.lastMessage !== undefined ? along.lastMessage : batches.lastMessages.load({ roomId: id, userId });

/** Of who shares no room with the viewer nothing is told. */
export const loadPresence = ({ batches }: Deps, viewer: Viewer, userId: number): Promise<Presence> =>
  batches.presences.load({ viewerId: viewer.userId, userId });

/** Where the room's log stands; null where the viewer is no member. */
export const loadMemberHead = ({ batches }: Deps, { userId }: Viewer, roomId: string): Promise<LogHead | null> =>
  batches.memberHeads.load({ roomId, userId });

/** How many other members have read the message. */
export const loadReadCount = ({ batches }: Deps, { userId }: Viewer, message: PagedMessage) =>
  message.readCount ?? batches.readCounts.load({ message, userId });

/** Which other members have read the message, and when first; counted before they are loaded. @throws as `afford` does */
export async function loadReaders(
  deps: Deps,
  viewer: Viewer,
  message: PagedMessage,
  afford: Afford,
): Promise<readonly Reader[]> {
  const count = await loadReadCount(deps, viewer, message);
  afford(count);
  return count === 0 ? [] : deps.batches.readers.load({ message, userId: viewer.userId });
}

/** @throws {ChatError} NOT_FOUND in place of null */
export function found<T>(value: T | null): T {
  if (value === null) throw new ChatError('NOT_FOUND', 'There is no such room, or you are not a member');
  return value;
}
