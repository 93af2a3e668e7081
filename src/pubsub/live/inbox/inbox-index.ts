import type { RoomPosition } from '../../../domain/inbox.js';

/** A room of a viewer whose inbox is watched in this process, or was until a moment ago. */
interface IndexedRoom {
  readonly viewerIds: Set<number>;
  /** The newest known position of its log. */
  seq: number;
}

/** Maps viewers to their rooms and rooms to their viewers, with the known log positions and read marks. */
export class InboxIndex {
  readonly #rooms = new Map<string, IndexedRoom>();
  /** By viewer and room: the viewer's own read mark. */
  readonly #reads = new Map<number, Map<string, number>>();

  /** Starts indexing a viewer. */
  open(viewerId: number): void {
    this.#reads.set(viewerId, new Map());
  }

  close(viewerId: number): void {
    for (const roomId of this.#reads.get(viewerId)?.keys() ?? []) this.#rooms.get(roomId)?.viewerIds.delete(viewerId);
    this.#reads.delete(viewerId);
  }

  viewersOf(roomId: string): ReadonlySet<number> {
    return this.#rooms.get(roomId)?.viewerIds ?? nobody;
  }

  /** False if the viewer was in the room already, or if their inbox is not watched here. */
  add(roomId: string, viewerId: number): boolean {
    const reads = this.#reads.get(viewerId);
    if (reads === undefined || reads.has(roomId)) return false;
    reads.set(roomId, 0);
    const room = this.#rooms.get(roomId);
    if (room === undefined) this.#rooms.set(roomId, { viewerIds: new Set([viewerId]), seq: 0 });
    else room.viewerIds.add(viewerId);
    return true;
  }

  /** Keeps the room's position for a while, so that a repeated message about it counts once. */
  remove(roomId: string, viewerId: number): void {
    this.#reads.get(viewerId)?.delete(roomId);
    this.#rooms.get(roomId)?.viewerIds.delete(viewerId);
  }

  /** The newest known position of the room's log, and the viewer's newest known read mark. */
  positionOf(roomId: string, viewerId: number): RoomPosition & { readonly lastReadSeq: number } {
    return { ...this.headOf(roomId), lastReadSeq: this.#reads.get(viewerId)?.get(roomId) ?? 0 };
  }

  /** The newest known position of the room's log. */
  headOf(roomId: string): RoomPosition {
    return { roomId, seq: this.#rooms.get(roomId)?.seq ?? 0 };
  }

  /** The known rooms of the viewer. */
  roomsOf(viewerId: number): Iterable<string> {
    return this.#reads.get(viewerId)?.keys() ?? [];
  }

  /** Whether the position is newer than the known one. True for an unknown room. */
  isNews(roomId: string, seq: number): boolean {
    return (this.#rooms.get(roomId)?.seq ?? 0) < seq;
  }

  /** The same, but false for an unknown room. */
  isNewsHere(roomId: string, seq: number): boolean {
    return (this.#rooms.get(roomId)?.seq ?? Number.POSITIVE_INFINITY) < seq;
  }

  /** Records a new position of a known room. */
  advance(roomId: string, seq: number): void {
    const room = this.#rooms.get(roomId);
    if (room !== undefined) room.seq = Math.max(room.seq, seq);
  }

  /**
   * Corrects a position with the one in the database, even to a lower one, as in another epoch.
   * @param thought - the position that was compared; an older answer does not undo a newer position
   * @returns whether the position changed
   */
  correct(roomId: string, thought: number, seq: number): boolean {
    const room = this.#rooms.get(roomId);
    if (room === undefined || (room.seq !== thought && room.seq >= seq)) return false;
    room.seq = seq;
    return true;
  }

  /** All known rooms with their known positions. */
  get positions(): RoomPosition[] {
    return [...this.#rooms].map(([roomId, { seq }]) => ({ roomId, seq }));
  }

  /** Records a read mark. Returns whether it is newer than the known one. */
  advanceRead(roomId: string, viewerId: number, lastReadSeq: number): boolean {
    const reads = this.#reads.get(viewerId);
    const known = reads?.get(roomId);
    if (reads === undefined || known === undefined || known >= lastReadSeq) return false;
    reads.set(roomId, lastReadSeq);
    return true;
  }

  /** Records a read mark of another epoch, which may be lower than the known one. Returns whether it differs. */
  correctRead(roomId: string, viewerId: number, lastReadSeq: number): boolean {
    const reads = this.#reads.get(viewerId);
    if (reads === undefined || !reads.has(roomId) || reads.get(roomId) === lastReadSeq) return false;
    reads.set(roomId, lastReadSeq);
    return true;
  }

  /** Removes rooms without viewers. */
  forgetEmpty(): void {
    for (const [roomId, { viewerIds }] of this.#rooms) if (viewerIds.size === 0) this.#rooms.delete(roomId);
  }
}

const nobody: ReadonlySet<number> = new Set();
