import { createBatch, splitBatch, type View } from '../db/batch.js';
import type { Database } from '../db/database.js';
import type { KnownMember } from '../db/member-row.js';
import { findMemberPages, type MemberPageOfUser } from '../db/members.js';
import type { RoomOfUser } from '../db/membership.js';
import {
  countReaders,
  countUnreadMembers,
  findReaders,
  findRoomsOfMessages,
  type MessageOfUser,
  type MessageReader,
} from '../db/messages.js';
import { findPresences } from '../db/presence.js';
import {
  countEverMembers,
  findActors,
  findEverMembers,
  findMemberHeads,
  findMemberships,
  findMemberUsers,
  findPermissions,
  findRooms,
  type LogHead,
  type MemberOfRoom,
  type Permission,
  type RoomWithParts,
  type UserOfRoom,
} from '../db/room-views.js';
import { countAllUnread, type Room } from '../db/rooms.js';
import type { UserProfile } from '../db/user-row.js';
import { findKnownUsers, findUsers } from '../db/users.js';
import type { Page } from '../domain/page.js';
import type { Presence, ViewedUser } from '../domain/presence.js';
import type { Member } from '../domain/room-log.js';
import type { NameCache } from './name-cache.js';

/** A statement that reads fewer names also reads expired ones that are in use: soon they would take a statement each. */
const namesAtOnce = 500;

/** Users who are or were members of a room. */
interface MembersOfRoom {
  readonly roomId: string;
  readonly userIds: readonly number[];
}

/**
 * The loaders of fields. One query loads the values that all requests and subscribers of this process need in the same turn:
 * a message for a thousand subscribers changes a thousand unread counts. Each query checks the memberships again. The only
 * values that are kept are names; the loaders look there first.
 */
export type Batches = ReturnType<typeof createBatches>;

export const createBatches = (db: Database, names: NameCache) => ({
  users: createBatch<number, UserProfile>(async (ids) => {
    const asked = new Set(ids);
    for (const id of names.takeExpired(Math.max(0, namesAtOnce - asked.size))) asked.add(id);
    const users = await names.read(() => findUsers(db, [...asked]));
    const byId = new Map(users.map((user) => [user.id, user]));
    return ids.map((id) => byId.get(id) ?? unknownUser(id));
  }),
  knownUsers: createBatch<ViewedUser, UserProfile>(async (asked) => {
    const view = await findKnownUsers(db, asked);
    return asked.map((one) => view(one) ?? unknownUser(one.userId));
  }),
  /** Loads whole lists, because an entry may name all members of a room; a few long ones at a time. */
  memberUsers: createBatch<MembersOfRoom, UserProfile[]>(async (asked) => {
    const users: UserProfile[][] = [];
    for (const lists of splitBatch(asked, ({ userIds }) => userIds.length)) {
      const members = lists.flatMap(({ roomId, userIds }) => userIds.map((userId) => ({ roomId, userId })));
      const view = viewOfRooms(await names.read(() => findMemberUsers(db, members)));
      for (const { roomId, userIds } of lists) {
        users.push(userIds.map((userId) => view({ roomId, userId }) ?? unknownUser(userId)));
      }
    }
    return users;
  }),
  actors: createBatch<MemberOfRoom, UserProfile>(async (asked) => {
    const view = viewOfRooms(await names.read(() => findActors(db, asked)));
    return asked.map((one) => view(one) ?? unknownUser(one.userId));
  }),
  /** The same object for all requests for a room by one user, with the parts of all of them; null if they are not a member. */
  rooms: createView<RoomWithParts, Room | null>(findRooms, db, null),
  /** Without a check of the membership: only for the order of changes of a message among others of its room. */
  roomsOfMessages: createBatch<string, string | null>(async (ids) => {
    const found = await findRoomsOfMessages(db, ids);
    return ids.map((id) => found.get(id) ?? null);
  }),
  everMembers: createView<RoomOfUser, readonly KnownMember[]>(findEverMembers, db, []),
  memberPages: createBatch<MemberPageOfUser, Page<KnownMember>>(async (asked) =>
    asked.map(await findMemberPages(db, asked)),
  ),
  everMemberCounts: createView<RoomOfUser, number>(countEverMembers, db, 0),
  memberships: createView<RoomOfUser, Member | null>(findMemberships, db, null),
  /** The state of the room that decides what the user may do there, and its head; null if the user is not a member. */
  permissions: createView<RoomOfUser, Permission | null>(findPermissions, db, null),
  /** One query for all subscriptions that start in one turn, as in a storm of reconnects. Viewers may soon be named to others. */
  memberHeads: createBatch<MemberOfRoom, LogHead | null>(async (asked) => {
    const view = viewOfRooms(await names.read(() => findMemberHeads(db, asked)));
    return asked.map((one) => view(one)?.head ?? null);
  }, setImmediate),
  /** The sum over all rooms of a user. */
  allUnread: createBatch<number, number>(async (userIds) => {
    const counts = new Map([...new Set(userIds)].map((userId) => [userId, countAllUnread(db, userId)]));
    return Promise.all(userIds.map(async (userId) => (await counts.get(userId)) ?? 0));
  }),
  presences: createBatch<ViewedUser, Presence>(async (asked) => {
    const view = await findPresences(db, asked);
    return asked.map((one) => view(one) ?? { userId: one.userId, status: 'OFFLINE', lastSeenAt: null });
  }),
  readCounts: createView<MessageOfUser, number>(countReaders, db, 0),
  unreadMemberCounts: createView<MessageOfUser, number>(countUnreadMembers, db, 0),
  readers: createView<MessageOfUser, readonly MessageReader[]>(findReaders, db, []),
});

/** Loads `absent` if the query returns no value: the room does not exist, or the user is not a member of it any more. */
const createView = <Asked, Value>(
  query: (db: Database, asked: readonly Asked[]) => Promise<View<Asked, Value>>,
  db: Database,
  absent: Value,
) =>
  createBatch<Asked, Value>(async (asked) => {
    const view = await query(db, asked);
    return asked.map((one) => view(one) ?? absent);
  });

function viewOfRooms<Row extends UserOfRoom>(users: readonly Row[]): View<MemberOfRoom, Row> {
  const byPair = new Map(users.map((user) => [`${user.roomId} ${user.id}`, user]));
  return ({ roomId, userId }) => byPair.get(`${roomId} ${userId}`);
}

const unknownUser = (id: number): UserProfile => ({ id, name: null, avatarUrl: null, isDeleted: false });
