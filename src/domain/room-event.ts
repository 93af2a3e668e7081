import type { LogEntry, Member } from './room-log.js';

/** What a subscriber to a room is told. `seq` is where the room's log stands with the event. */
export type RoomEvent =
  | LogEntry
  | { readonly kind: 'ready'; readonly seq: number }
  | { readonly kind: 'resync'; readonly seq: number }
  | { readonly kind: 'read'; readonly seq: number; readonly member: Member };
