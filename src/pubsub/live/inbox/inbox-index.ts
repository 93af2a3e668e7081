import type { RoomPosition } from '../../../domain/inbox.js';

/** A room that somebody who watches their inbox here is in, or was a moment ago. */
interface IndexedRoom {
  readonly viewerIds: Set<number>;
  /** Where its log stands, as far as this process has noticed. */
  seq: number;
}

/** Which rooms the viewers of this process are in, both ways round, and how far each is known. */
export class InboxIndex {
  readonly #rooms = new Map<string, IndexedRoom>();
  /** By viewer and room: the viewer's own read mark. */
  readonly #reads = new Map<number, Map<string, number>>();

  /** The viewer's inbox is watched from here on. */
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

  /** False where they were in it already, or where their inbox is not watched here. */
  add(roomId: string, viewerId: number): boolean {
    const reads = this.#reads.get(viewerId);
    if (reads === undefined || reads.has(roomId)) return false;
    reads.set(roomId, 0);
    const room = this.#rooms.get(roomId);
    if (room === undefined) this.#rooms.set(roomId, { viewerIds: new Set([viewerId]), seq: 0 });
    else room.viewerIds.add(viewerId);
    return true;
  }

  /** The room is remembered for a while: what is told of it twice is news once. */
  remove(roomId: string, viewerId: number): void {
    this.#reads.get(viewerId)?.delete(roomId);
    this.#rooms.get(roomId)?.viewerIds.delete(viewerId);
  }

  /** The rooms that the viewer is in, as far as this process knows. */
  roomsOf(viewerId: number): Iterable<string> {
    return this.#reads.get(viewerId)?.keys() ?? [];
  }

  /** Whether the room's log was not known to stand there. */
  isNews(roomId: string, seq: number): boolean {
    return (this.#rooms.get(roomId)?.seq ?? 0) < seq;
  }

  /** The same of a room that somebody here is in. */
  isToTell(roomId: string, seq: number): boolean {
    return (this.#rooms.get(roomId)?.seq ?? Number.POSITIVE_INFINITY) < seq;
  }

  /** Where the log of a room stands that somebody here is in. */
  advance(roomId: string, seq: number): void {
    const room = this.#rooms.get(roomId);
    if (room !== undefined) room.seq = Math.max(room.seq, seq);
  }

  /** The database says so of a room that was thought to stand elsewhere, or in another log: also back. */
  correct(roomId: string, thought: number, seq: number): boolean {
    const room = this.#rooms.get(roomId);
    if (room === undefined || (room.seq !== thought && room.seq >= seq)) return false;
    room.seq = seq;
    return true;
  }

  /** All rooms that somebody here is in, and where their logs are thought to stand. */
  get positions(): RoomPosition[] {
    return [...this.#rooms].map(([roomId, { seq }]) => ({ roomId, seq }));
  }

  /** Whether this read mark of the viewer is news; it is none the next time. */
  advanceRead(roomId: string, viewerId: number, lastReadSeq: number): boolean {
    const reads = this.#reads.get(viewerId);
    const known = reads?.get(roomId);
    if (reads === undefined || known === undefined || known >= lastReadSeq) return false;
    reads.set(roomId, lastReadSeq);
    return true;
  }

  /** The database says so of a mark in another log: it may stand before where it was. Whether it was known to stand elsewhere. */
  correctRead(roomId: string, viewerId: number, lastReadSeq: number): boolean {
    const reads = this.#reads.get(viewerId);
    if (reads === undefined || !reads.has(roomId) || reads.get(roomId) === lastReadSeq) return false;
    reads.set(roomId, lastReadSeq);
    return true;
  }

  /** Forgets rooms that nobody here is in any more. */
  forgetEmpty(): void {
    for (const [roomId, { viewerIds }] of this.#rooms) if (viewerIds.size === 0) this.#rooms.delete(roomId);
  }
}

const nobody: ReadonlySet<number> = new Set();
