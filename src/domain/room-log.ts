import type { Epochs } from './epoch.js';
import type { Wait } from './fair-turns.js';
import type { Message } from './message.js';

/** One entry of a room's log: a message that was added, edited or deleted at this position. */
export interface LogEntry {
  readonly kind: 'added' | 'updated' | 'deleted';
  readonly seq: number;
  readonly message: Message;
  /** "4:9" in a DIRECT room; it decides the subject on which the entry is published. */
  readonly directKey: string | null;
  /** In which the database told of it: a position means nothing without. */
  readonly epoch: string;
}

/** The entry at this position that the message's latest state stands for; by default that of its last change. */
export function toLogEntry(
  message: Message,
  { directKey, epoch }: Pick<LogEntry, 'directKey' | 'epoch'>,
  seq = message.changedSeq,
): LogEntry {
  const changed = message.deletedAt === null ? 'updated' : 'deleted';
  return { kind: seq === message.seq ? 'added' : changed, seq, message, directKey, epoch };
}

/** A member as it is stored; `joinedSeq` is the position of the entry that told of the joining. */
export interface Member {
  readonly id: string;
  readonly roomId: string;
  readonly userId: number;
  readonly isAdmin: boolean;
  readonly joinedAt: Date;
  readonly joinedSeq: number;
  readonly leftAt: Date | null;
  readonly lastReadSeq: number;
  readonly lastReadMessageId: string | null;
  readonly lastReadAt: Date | null;
}

/** Where a room's log stands, and the key of a DIRECT room. */
export interface RoomHead {
  readonly seq: number;
  readonly directKey: string | null;
  readonly epochs: Epochs;
}

/** Where a room's log stands, and in which epoch. */
export interface LogPosition {
  readonly seq: number;
  readonly epoch: string;
}

/** What a room's log is known to have had. */
export interface Evidence extends LogPosition {
  readonly roomId: string;
  /** Null where only the position is known. */
  readonly messageId: string | null;
  readonly isAdded: boolean;
}

export const toEvidence = ({ kind, seq, epoch, message }: LogEntry): Evidence => ({
  roomId: message.roomId,
  seq,
  epoch,
  messageId: message.id,
  isAdded: kind === 'added',
});

/**
 * The part of a room's log behind `after`, up to `upTo`. Messages that were added there are told at their own position,
 * as they are now; messages up to `base` that were changed there, at the position of their last change. So with the
 * position from which a replay started as `base`, what was added and then changed is told once; with `upTo` as `base`,
 * every position that still stands for something is told. States in between are compacted away.
 */
export interface LogRange {
  readonly roomId: string;
  readonly base: number;
  readonly after: number;
  readonly upTo: number;
}

/** A room that has entries which the stream has not acknowledged. */
export interface UnpublishedRoom {
  readonly roomId: string;
  readonly publishedSeq: number;
  readonly seq: number;
  readonly epoch: string;
  /** Entries up to then are old enough, by the clock that dates them. */
  readonly dueUntil: Date;
  /** Entries dated later than that were written before the clock was set back: they are old enough too. */
  readonly dueBeyond: Date;
}

/** The entries `from` to `to` of a room in one epoch, both included. */
export interface PublishedRange {
  readonly roomId: string;
  readonly epoch: string;
  readonly from: number;
  readonly to: number;
}

/** What the stream has not acknowledged yet, of all rooms. */
export interface Backlog {
  readonly entries: number;
  /** How long ago the oldest of them was written. */
  readonly oldestMs: number;
}

export const logPageSize = 200;

/** The log as PostgreSQL keeps it: what the feed reads when the live stream is not enough. */
export interface LogStore {
  /** Null where there is no such room. */
  readHead(roomId: string): Promise<RoomHead | null>;
  /** The heads of all these rooms in one query; rooms that do not exist are left out. */
  readHeads(roomIds: readonly string[]): Promise<Map<string, LogPosition>>;
  /**
   * At most `logPageSize` entries in the order of their positions, which only grow but may have holes. At once: everybody
   * who listens to the room waits for it.
   */
  readPage(range: LogRange): Promise<LogEntry[]>;
  /**
   * The same for one subscriber's replay, when its user's turn comes: however many replay, nobody else waits for them.
   * @throws {ChatError} RATE_LIMITED where too many replays of this user wait
   */
  replayPage(range: LogRange, viewerId: number, wait: Wait): Promise<LogEntry[]>;
  /** Whether the user is a member of the room now. */
  isMember(roomId: string, userId: number): Promise<boolean>;
  /** Rooms of which the stream has not acknowledged an entry that is older than `minAgeMs`, at most `limit`. */
  readUnpublished(minAgeMs: number, limit: number): Promise<UnpublishedRoom[]>;
  /** All that the stream has not acknowledged, be it on its way. */
  readBacklog(): Promise<Backlog>;
  /**
   * Moves a room's published mark to the end of a range where it has reached the range's start: compare and set. A range
   * of another epoch than the present one moves nothing. Resolves with where the marks of these rooms stand then.
   */
  advancePublished(ranges: readonly PublishedRange[]): Promise<Map<string, number>>;
  /** Another instance has seen the database in this epoch. */
  noteEpoch(epoch: string): void;
  /** Begins another epoch where the log of the present one lacks what it is known to have had. */
  doubtEpoch(evidence: Evidence): Promise<void>;
}
