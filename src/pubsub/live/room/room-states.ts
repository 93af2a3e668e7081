import type { RoomEvent } from '../../../domain/room-event.js';
import type { LogPosition, LogStore, MarkMove, NewStates } from '../../../domain/room-log.js';
import { decodeMark, encodeMark } from '../../nats/encoding.js';
import { ownReadSubject, readSubject } from '../../nats/subjects.js';

/** A state of a room, or of somebody in it. */
export interface RoomState {
  readonly roomId: string;
}

/**
 * A kind of state that subscribers to a room are notified of and that is not an entry of its log: only the newest state of
 * each key counts. NATS does not store it, and it is not replayed: a client that was away has to query it.
 */
export interface StateKind<State extends RoomState = RoomState> {
  /** Unique among the kinds. */
  readonly name: string;
  /** The subject for the subscribers to the room. */
  subject(roomId: string): string;
  /** Where else the state is published. */
  otherSubjects(state: State): readonly string[];
  encode(state: State): Uint8Array;
  /** @throws {ForeignBodyError} if the body is not entirely a state of this kind */
  decode(body: Uint8Array): State;
  /** A state replaces the one with the same key, if it is newer. */
  key(state: State): string | number;
  isNewer(state: State, than: State): boolean;
  /** The position of the entry that the state refers to, which subscribers get first; 0 if there is none. */
  seq(state: State): number;
  /** Loads the newest of the states that are asked for, the oldest of them first. */
  load(store: LogStore, asked: NewStates): Promise<readonly State[]>;
  /**
   * The event for subscribers at this position.
   * @param before - the state of the same key that was shown last, if this process knows it
   */
  event(state: State, position: LogPosition, before: State | undefined): RoomEvent;
  /** The event of several states. */
  batch(states: readonly State[], position: LogPosition): RoomEvent;
}

/** How a subscriber gets the states of a kind: an event for each, or one for all that changed. */
export type StateDelivery = 'each' | 'batched';

/** The states of one kind for a subscriber, who gets no other kinds. */
export interface StateSubscription {
  readonly kind: StateKind;
  readonly delivery: StateDelivery;
}

/** How far a member has read. */
export const readMark: StateKind<MarkMove> = {
  name: 'read mark',
  subject: readSubject,
  // The reader's other devices.
  otherSubjects: ({ userId }) => [ownReadSubject(userId)],
  encode: encodeMark,
  decode: decodeMark,
  key: ({ userId }) => userId,
  isNewer: (member, than) => member.lastReadSeq > than.lastReadSeq,
  seq: ({ lastReadSeq }) => lastReadSeq,
  load: (store, asked) => store.readMarks(asked),
  event: (member, { seq, epoch }, before) => {
    // What the member read before joining is not theirs to have read.
    const previousSeq = before?.lastReadSeq ?? member.previousSeq ?? member.joinedSeq;
    return { kind: 'read', seq, epoch, member, previousSeq };
  },
  batch: (members, { seq, epoch }) => ({ kind: 'reads', seq, epoch, members }),
};

/** All kinds. */
export const roomStates: readonly StateKind[] = [readMark];
