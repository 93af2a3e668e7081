/** A change of one of the viewer's rooms, for a room list and its badges. */
export type InboxEvent<Room> =
  | { readonly kind: 'READY' }
  | { readonly kind: 'ROOM_CHANGED'; readonly roomId: string; readonly room: Room }
  | { readonly kind: 'ROOM_REMOVED'; readonly roomId: string };

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
