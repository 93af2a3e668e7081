import type { Message } from './message.js';
import type { Member } from './room-log.js';

/** A change of one of the viewer's rooms, for a room list and its badges. */
export type InboxEvent<Room> =
  | { readonly kind: 'READY' }
  | { readonly kind: 'ROOM_CHANGED'; readonly roomId: string; readonly room: Room }
  | { readonly kind: 'ROOM_REMOVED'; readonly roomId: string };

/** A room at a position of its log, as one viewer sees it, perhaps with its parts. */
export interface ListedRoom {
  readonly id: string;
  readonly name: string | null;
  readonly seq: number;
  readonly epoch: string;
  readonly updatedAt: Date;
  readonly preloaded?: Partial<ListedParts>;
}

/** The parts of a room that a room list shows. */
export interface ListedParts {
  readonly title: string;
  readonly memberCount: number;
  /** The newest message that is not deleted. */
  readonly lastMessage: Message | null;
  readonly unreadCount: number;
  /** The viewer's own membership, perhaps with the viewer. */
  readonly viewerMember: Member & { readonly user?: object };
}

/** A user's membership in a room, with the head of the room's log and the user's read mark. */
export interface InboxRoom {
  readonly userId: number;
  readonly roomId: string;
  readonly seq: number;
  readonly lastReadSeq: number;
}

/** The known or assumed head of a room's log. */
export interface RoomPosition {
  readonly roomId: string;
  readonly seq: number;
}

export interface InboxStore {
  /** All rooms of these users, in one query. */
  readInboxes(userIds: readonly number[]): Promise<InboxRoom[]>;
  /** Memberships of these users that began, ended or moved their read mark in the last `ageMs`. */
  readRecentMemberships(userIds: readonly number[], ageMs: number): Promise<(InboxRoom & { isMember: boolean })[]>;
  /** Rooms whose list entry shows the name of one of these users: in the title, or as the author of the last message. */
  readRoomsThatName(userIds: readonly number[]): Promise<string[]>;
  /** The rooms whose log head differs from the given position in `epoch`, with their real position. */
  readMovedRooms(rooms: readonly RoomPosition[], epoch: string): Promise<RoomPosition[]>;
}
