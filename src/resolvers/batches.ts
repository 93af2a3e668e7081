import { createBatch, type View } from '../db/batch.js';
import type { Database } from '../db/database.js';
import { findMemberPages, type MemberPageOfUser } from '../db/members.js';
import {
  countReaders,
  findReaders,
  findRoomsOfMessages,
  type MessageOfUser,
  type PagedMessage,
  type Reader,
} from '../db/messages.js';
import { findPresences } from '../db/presence.js';
import {
  countEverMembers,
  countMembers,
  countUnread,
  findActors,
  findEverMembers,
  findLastMessages,
  findMemberHeads,
  findMembers,
  findMemberships,
  findMemberUsers,
  findRooms,
  findWriting,
  type LogHead,
  type MemberOfRoom,
  nameByMembers,
  type RoomOfUser,
  type Writing,
} from '../db/room-views.js';
import { countAllUnread, type Room } from '../db/rooms.js';
import type { KnownMember, User } from '../db/rows.js';
import { findKnownUsers, findUsers } from '../db/users.js';
import { ChatError } from '../domain/errors.js';
import type { Message } from '../domain/message.js';
import type { Page } from '../domain/page.js';
import type { Acquaintance, Presence } from '../domain/presence.js';
import type { Member } from '../domain/room-log.js';
import type { Onlooker, Viewer } from '../domain/viewer.js';
import type { Deps } from './deps.js';

/** Some who are or were in a room. */
interface MembersOfRoom {
  readonly roomId: string;
  readonly userIds: readonly number[];
}

/**
 * What fields load. One query for whatever all requests and subscribers of this process want in the same turn: a message
 * that reaches a thousand of them changes a thousand unread counts. Nothing is kept, so what is new shows at once, and
 * each query looks again who is a member.
 */
export type Batches = ReturnType<typeof createBatches>;

export const createBatches = (db: Database) => ({
  users: createBatch<number, User>(async (ids) => {
    const byId = new Map((await findUsers(db, [...new Set(ids)])).map((user) => [user.id, user]));
    return ids.map((id) => byId.get(id) ?? unknownUser(id));
  }),
  knownUsers: createBatch<Acquaintance, User>(async (asked) => {
    const view = await findKnownUsers(db, asked);
    return asked.map((one) => view(one) ?? unknownUser(one.userId));
  }),
  /** Lists, each as one: an entry may name all members of a room. */
  memberUsers: createBatch<MembersOfRoom, User[]>(async (asked) => {
    const members = asked.flatMap(({ roomId, userIds }) => userIds.map((userId) => ({ roomId, userId })));
    const view = await findMemberUsers(db, members);
    return asked.map(({ roomId, userIds }) => userIds.map((userId) => view({ roomId, userId }) ?? unknownUser(userId)));
  }),
  actors: createBatch<MemberOfRoom, User>(async (asked) => {
    const view = await findActors(db, asked);
    return asked.map((one) => view(one) ?? unknownUser(one.userId));
  }),
  rooms: createView<RoomOfUser, Room | null>(findRooms, db, null),
  /** Whoever asks: only to put what is about a message in order with what else is done in its room. */
  roomsOfMessages: createBatch<string, string | null>(async (ids) => {
    const found = await findRoomsOfMessages(db, ids);
    return ids.map((id) => found.get(id) ?? null);
  }),
  titles: createView(nameByMembers, db, ''),
  members: createView<RoomOfUser, readonly KnownMember[]>(findMembers, db, []),
  everMembers: createView<RoomOfUser, readonly KnownMember[]>(findEverMembers, db, []),
  memberPages: createBatch<MemberPageOfUser, Page<KnownMember>>(async (asked) =>
    asked.map(await findMemberPages(db, asked)),
  ),
  memberCounts: createView<RoomOfUser, number>(countMembers, db, 0),
  everMemberCounts: createView<RoomOfUser, number>(countEverMembers, db, 0),
  memberships: createView<RoomOfUser, Member | null>(findMemberships, db, null),
  /** Whether the room is open for writing, and where its log stands; null where the asker is no member. */
  writing: createView<RoomOfUser, Writing | null>(findWriting, db, null),
  /** Of all who subscribe in one turn: a storm of reconnects asks once. */
  memberHeads: createView<RoomOfUser, LogHead | null>(findMemberHeads, db, null, setImmediate),
  unreadCounts: createView<RoomOfUser, number>(countUnread, db, 0),
  /** Over all rooms of a user. */
  allUnread: createBatch<number, number>(async (userIds) => {
    const counts = new Map([...new Set(userIds)].map((userId) => [userId, countAllUnread(db, userId)]));
    return Promise.all(userIds.map(async (userId) => (await counts.get(userId)) ?? 0));
  }),
  lastMessages: createView<RoomOfUser, Message | null>(findLastMessages, db, null),
  presences: createBatch<Acquaintance, Presence>(async (asked) => {
    const view = await findPresences(db, asked);
    return asked.map((one) => view(one) ?? { userId: one.userId, status: 'OFFLINE', lastSeenAt: null });
  }),
  readCounts: createView<MessageOfUser, number>(countReaders, db, 0),
  readers: createView<MessageOfUser, readonly Reader[]>(findReaders, db, []),
});

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
  const count = includeLeft ? batches.everMemberCounts.load(asked) : loadMemberCount(deps, onlooker, room);
  afford?.(await count);
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

/** What the query does not answer is `absent`: of a room that is not there, or that the user is no member of any more. */
const createView = <Asked, Value>(
  query: (db: Database, asked: readonly Asked[]) => Promise<View<Asked, Value>>,
  db: Database,
  absent: Value,
  schedule?: (callback: () => void) => void,
) =>
  createBatch<Asked, Value>(async (asked) => {
    const view = await query(db, asked);
    return asked.map((one) => view(one) ?? absent);
  }, schedule);

const unknownUser = (id: number): User => ({ id, name: null });

/** @throws {ChatError} NOT_FOUND in place of null */
export function found<T>(value: T | null): T {
  if (value === null) throw new ChatError('NOT_FOUND', 'There is no such room, or you are not a member');
  return value;
}
