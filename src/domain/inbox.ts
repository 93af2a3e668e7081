/** What is told about one of the viewer's rooms, for a list and its badges. */
export type InboxEvent<Room> =
  | { readonly kind: 'READY' }
  | { readonly kind: 'ROOM_CHANGED'; readonly roomId: string; readonly room: Room }
  | { readonly kind: 'ROOM_REMOVED'; readonly roomId: string };

/** That a user is in a room, where its log stands, and how far the user has read it. */
export interface InboxRoom {
  readonly userId: number;
  readonly roomId: string;
  readonly seq: number;
  readonly lastReadSeq: number;
}

/** Where a room's log stands, or is thought to stand. */
export interface RoomPosition {
  readonly roomId: string;
  readonly seq: number;
}

export interface InboxStore {
  /** All rooms of these users, in one query. */
  readInboxes(userIds: readonly number[]): Promise<InboxRoom[]>;
  /** Those of their memberships that began, ended or moved their read mark in the last so many ms. */
  readRecentMemberships(userIds: readonly number[], ageMs: number): Promise<(InboxRoom & { isMember: boolean })[]>;
  /** Rooms of these users whose entry in a list has one of their names: as a part of the title, or as the last author. */
  readRoomsThatName(userIds: readonly number[]): Promise<string[]>;
  /** Those of the rooms whose logs stand elsewhere than there in that epoch, with where. */
  readMovedRooms(rooms: readonly RoomPosition[], epoch: string): Promise<RoomPosition[]>;
}
