import type { Epochs } from './epoch.js';
import type { Wait } from './fair-turns.js';
import { changeKinds, type Message, type MessageChange } from './message.js';
import { boolean, mark, orNull, type Shape, type Shaped, time, userId, uuid } from './shape.js';

export const entryKinds = ['added', ...Object.values(changeKinds)] as const;

/** One entry of a room's log: a message that was added or changed at this position. */
export interface LogEntry {
  readonly kind: (typeof entryKinds)[number];
  /** What the entry has changed of the message; null if it was added. */
  readonly change: MessageChange | null;
  readonly seq: number;
  readonly message: Message;
  /** "4:9" in a DIRECT room; it decides the subject on which the entry is published. */
  readonly directKey: string | null;
  /** The epoch in which `seq` is a position. */
  readonly epoch: string;
}

/** The log entry for the message's latest state: at its last change, or at `seq`. */
export function toLogEntry(
  message: Message,
  { directKey, epoch, change }: Pick<LogEntry, 'directKey' | 'epoch'> & { readonly change: MessageChange | null },
  seq = message.changedSeq,
): LogEntry {
  if (change === null || seq === message.seq) return { kind: 'added', change: null, seq, message, directKey, epoch };
  return { kind: changeKinds[change], change, seq, message, directKey, epoch };
}

/** An entry as it was read from the database. */
export interface StoredEntry extends LogEntry {
  readonly writtenAt: Date;
}

/** A member's fields, in the order of its columns. A new one is added here, and to the table. */
export const memberShape = {
  id: uuid,
  roomId: uuid,
  userId,
  isAdmin: boolean,
  joinedAt: time,
  /** Position of the SYSTEM message about the joining. */
  joinedSeq: mark,
  leftAt: orNull(time),
  lastReadSeq: mark,
  lastReadMessageId: orNull(uuid),
  lastReadAt: orNull(time),
} as const satisfies Shape;

/** A member as it is stored. */
export interface Member extends Shaped<typeof memberShape> {}

/** A member whose read mark has moved. */
export interface MarkMove extends Member {
  /** Where the mark stood before; null if that is not known, as from an earlier release. */
  readonly previousSeq: number | null;
}

/** The head of a room's log, and the key of a DIRECT room. */
export interface RoomHead {
  readonly seq: number;
  readonly directKey: string | null;
  readonly epochs: Epochs;
}

/** A position in a room's log, and its epoch. */
export interface LogPosition {
  readonly seq: number;
  readonly epoch: string;
}

/** An entry that a room's log is known to have had. */
export interface Evidence extends LogPosition {
  readonly roomId: string;
  /** Null if only the position is known. */
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
 * The part of a room's log after `after`, up to `upTo`. A message added there is returned at its own position, in its current
 * state. A message up to `base` that was changed there is returned at the position of its last change. So with the start of
 * a replay as `base`, a message that was added and then changed is returned once; with `upTo` as `base`, every position
 * that still has an entry is returned. Intermediate states are compacted away.
 */
export interface LogRange {
  readonly roomId: string;
  readonly base: number;
  readonly after: number;
  readonly upTo: number;
}

/** A room with entries that the stream has not acknowledged. */
export interface UnpublishedRoom {
  readonly roomId: string;
  readonly publishedSeq: number;
  readonly seq: number;
  readonly epoch: string;
  /** Entries dated up to this are old enough to publish again, by the database's clock. */
  readonly dueUntil: Date;
  /** Entries dated after this were written before the clock was set back: they are old enough, too. */
  readonly dueBeyond: Date;
}

/** The entries of a room in one epoch from `from` to `to`, both included. */
export interface PublishedRange {
  readonly roomId: string;
  readonly epoch: string;
  readonly from: number;
  readonly to: number;
}

/** The number of rooms that are checked for the age of unpublished entries. */
export const backlogSampleSize = 1_000;

/** The entries of all rooms that the stream has not acknowledged yet. */
export interface Backlog {
  readonly entries: number;
  /** The age of the oldest of them; in more than `backlogSampleSize` rooms, of those that have been silent longest. */
  readonly oldestMs: number;
}

/** The states of rooms from the last `ageMs`, by the database's clock; at most `count`, the newest. */
export interface NewStates {
  readonly roomIds: readonly string[];
  readonly ageMs: number;
  readonly count: number;
}

export const logPageSize = 200;

/** The log in PostgreSQL. The feed reads it when the live stream is not enough. */
export interface LogStore {
  /** Null if there is no such room. */
  readHead(roomId: string): Promise<RoomHead | null>;
  /** The heads of all these rooms in one query; rooms that do not exist are left out. */
  readHeads(roomIds: readonly string[]): Promise<Map<string, LogPosition>>;
  /**
   * At most `logPageSize` entries, by ascending position, possibly with holes. Runs without queueing: all subscribers of the
   * room wait for it.
   */
  readPage(range: LogRange): Promise<StoredEntry[]>;
  /**
   * The same for one subscriber's replay, when its user's turn comes: other requests do not wait for replays. Subscribers who
   * ask for the same range within seconds get the same entries.
   * @throws {ChatError} RATE_LIMITED if too many replays of this user wait
   */
  replayPage(range: LogRange, viewerId: number, wait: Wait): Promise<readonly LogEntry[]>;
  /** Whether the user is a member of the room now. */
  isMember(roomId: string, userId: number): Promise<boolean>;
  /** The members whose read marks are among these, in the order of their reading. */
  readMarks(asked: NewStates): Promise<MarkMove[]>;
  /** At most `limit` rooms with an entry older than `minAgeMs` that the stream has not acknowledged. */
  readUnpublished(minAgeMs: number, limit: number): Promise<UnpublishedRoom[]>;
  /** All entries that the stream has not acknowledged, including those that are being published. */
  readBacklog(): Promise<Backlog>;
  /**
   * Moves a room's published mark to the end of a range if it has reached the range's start (compare and set). A range of an
   * epoch that is not the current one is ignored. Resolves with the marks of these rooms afterwards.
   */
  advancePublished(ranges: readonly PublishedRange[]): Promise<Map<string, number>>;
  /**
   * Settles rooms whose entries are all acknowledged and whose newest activity is older than `quietMs`: `readUnpublished` and
   * `readBacklog` do not look at them until their next entry. Skips locked rooms.
   * @returns the number of rooms, at most `limit`
   */
  settleRooms(quietMs: number, limit: number): Promise<number>;
  /** Reports an epoch in which another instance has seen the database. */
  noteEpoch(epoch: string): void;
  /** Begins a new epoch if the current log lacks an entry that it is known to have had. */
  doubtEpoch(evidence: Evidence): Promise<void>;
}
