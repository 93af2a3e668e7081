import type { LogEntry, Member } from './room-log.js';

/** An event for a subscriber to a room. `seq` is the position of the room's log after the event, in `epoch`. */
export type RoomEvent =
  | LogEntry
  | { readonly kind: 'ready'; readonly seq: number; readonly epoch: string }
  | { readonly kind: 'resync'; readonly seq: number; readonly epoch: string }
  | MemberRead
  | { readonly kind: 'reads'; readonly seq: number; readonly epoch: string; readonly members: readonly Member[] };

/** A member's read mark has moved from `previousSeq`. */
interface MemberRead {
  readonly kind: 'read';
  readonly seq: number;
  readonly epoch: string;
  readonly member: Member;
  readonly previousSeq: number;
}
