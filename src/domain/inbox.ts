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

export interface InboxStore {
  /** All rooms of these users, in one query. */
  readInboxes(userIds: readonly number[]): Promise<InboxRoom[]>;
}
