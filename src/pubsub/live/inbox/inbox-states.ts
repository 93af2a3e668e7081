import { LRUCache } from 'lru-cache';
import type { ListedRoom, RoomPosition } from '../../../domain/inbox.js';
import type { LogEntry, Member } from '../../../domain/room-log.js';
import { InboxState } from './inbox-state.js';

/** About 100 MB. Rooms beyond it are read from the database with each change, those first that have been silent and unseen longest. */
const maxSize = 150_000;
/**
 * Then a room is read again. A comparison with the database finds every state at a wrong position or read mark, but not one
 * that is wrong for another reason, such as a statement of an operator.
 */
const maxAgeMs = 300_000;

/** A reading of a room. Its result is kept unless the room's state was dropped meanwhile. */
export interface Reading<Room> {
  /** Takes the room as the viewer sees it; null if it could not be read or the viewer is not a member. */
  end(room: Room | null): void;
}

/** A new object whenever the size has changed: the cache takes over the size of new values only. */
interface Kept<Room extends ListedRoom> {
  readonly state: InboxState<Room>;
}

/** The states of the rooms that inboxes in this process have shown. */
export class InboxStates<Room extends ListedRoom> {
  readonly #rooms = new LRUCache<string, Kept<Room>>({ maxSize, ttl: maxAgeMs, noUpdateTTL: true });

  /** The room as the viewer sees it at this position, without a query; undefined if that is not known. */
  show(viewerId: number, { roomId, seq, epoch, lastReadSeq }: ViewedPosition): Room | undefined {
    const state = this.#stateOf(roomId);
    return state?.seq === seq && state.epoch === epoch ? state.show(viewerId, lastReadSeq) : undefined;
  }

  /** Call it before the statement is sent: later entries are then applied to its result. */
  beginReading(roomId: string, viewerId: number): Reading<Room> {
    const state = this.#stateOf(roomId) ?? new InboxState<Room>();
    state.readings += 1;
    this.#keep(roomId, state);
    return {
      end: (room) => {
        state.readings -= 1;
        if (this.#stateOf(roomId) !== state) return;
        const isRight = room === null || state.learn(viewerId, room);
        if (isRight && !state.isEmpty) this.#keep(roomId, state);
        else this.drop(roomId);
      },
    };
  }

  /** Whether the room's state has not reached this position. */
  lacks(roomId: string, seq: number): boolean {
    const state = this.#stateOf(roomId);
    return state !== undefined && state.seq < seq;
  }

  /** Whether to wait for entries that a later one has overtaken; true once at a time. */
  isWorthWaiting({ roomId, seq }: RoomPosition): boolean {
    return this.#stateOf(roomId)?.isWorthWaiting(seq) ?? false;
  }

  accept(entry: LogEntry): void {
    const { roomId } = entry.message;
    const state = this.#stateOf(roomId);
    if (state === undefined) return;
    if (state.accept(entry)) this.#keep(roomId, state);
    else this.drop(roomId);
  }

  read(member: Member): void {
    this.#stateOf(member.roomId)?.read(member.userId, member);
  }

  /** Forgets the viewer, also as a reading that is under way will show them. */
  forget(roomId: string, viewerId: number): void {
    const state = this.#stateOf(roomId);
    state?.forget(viewerId);
    if (state !== undefined && (state.isEmpty || state.readings > 0)) this.drop(roomId);
  }

  /** The room is read again when it is shown. */
  drop(roomId: string): void {
    this.#rooms.delete(roomId);
  }

  clear(): void {
    this.#rooms.clear();
  }

  #stateOf(roomId: string): InboxState<Room> | undefined {
    return this.#rooms.get(roomId)?.state;
  }

  #keep(roomId: string, state: InboxState<Room>): void {
    this.#rooms.set(roomId, { state }, { size: state.size });
  }
}

/** A position of a room's log, and the viewer's newest known read mark. */
export interface ViewedPosition extends RoomPosition {
  readonly epoch: string;
  readonly lastReadSeq: number;
}
