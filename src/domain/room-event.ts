import type { LogEntry, Member } from './room-log.js';

/** What a subscriber to a room is told. `seq` is where the room's log stands with the event, and in which epoch. */
export type RoomEvent =
  | LogEntry
  | { readonly kind: 'ready'; readonly seq: number; readonly epoch: string }
  | { readonly kind: 'resync'; readonly seq: number; readonly epoch: string }
  | { readonly kind: 'read'; readonly seq: number; readonly epoch: string; readonly member: Member };
