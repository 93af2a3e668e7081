import { ChatError } from '../../../domain/errors.js';
import type { InboxEvent } from '../../../domain/inbox.js';
import { PullSource } from '../pull-source.js';

export interface InboxWatcherOptions<Room extends object> {
  readonly viewerId: number;
  /** The room as it is now, without a query; undefined if it has to be read. */
  readonly showRoom: (roomId: string) => Room | undefined;
  /** Reads the room as it is now; null if the viewer is not a member any more. */
  readonly readRoom: (roomId: string) => Promise<Room | null>;
  readonly onEnd: () => void;
}

/** The minimum time between two events of one room, from the sending of the first. */
const minGapMs = 250;
const retryMs = 1_000;
const ready = { kind: 'READY' } as const;

/** One subscription to an inbox: READY, then each changed room once, in its state at the time of sending. */
export class InboxWatcher<Room extends object> extends PullSource<InboxEvent<Room>> {
  readonly viewerId: number;
  readonly #options: InboxWatcherOptions<Room>;
  readonly #due = new Set<string>();
  /** When each room was last sent; removed when the room may be sent again. */
  readonly #sentAt = new Map<string, number>();
  /** The event that the subscriber is shown until it skips it. */
  #next: InboxEvent<Room> | undefined = ready;
  #underWay: string | undefined;
  #waiting: NodeJS.Timeout | undefined;

  constructor(options: InboxWatcherOptions<Room>) {
    super();
    this.#options = options;
    this.viewerId = options.viewerId;
  }

  offer(roomId: string): void {
    this.#due.add(roomId);
    this.wake();
  }

  override peek(): InboxEvent<Room> | undefined {
    if (this.isEnded) return undefined;
    this.#next ??= this.#show();
    return this.#next;
  }

  override skip(shown: InboxEvent<Room>): void {
    this.#next = undefined;
    if (shown.kind !== 'READY') this.#underWay = shown.roomId;
  }

  override get isIdle(): boolean {
    return !this.isEnded && this.#next === undefined && this.#nextDue(performance.now()) === undefined;
  }

  protected async take(): Promise<InboxEvent<Room> | undefined> {
    const roomId = this.#nextDue(performance.now());
    return roomId === undefined ? undefined : this.#read(roomId);
  }

  protected onEnd(): void {
    clearTimeout(this.#waiting);
    this.#options.onEnd();
  }

  /** The subscriber asks for more, so the previous event has been sent. */
  #noteSent(now: number): void {
    for (const [roomId, sentAt] of this.#sentAt) if (sentAt + minGapMs <= now) this.#sentAt.delete(roomId);
    if (this.#underWay !== undefined) this.#sentAt.set(this.#underWay, now);
    this.#underWay = undefined;
  }

  #nextDue(now: number): string | undefined {
    let earliest = Number.POSITIVE_INFINITY;
    for (const roomId of this.#due) {
      const sentAt = this.#sentAt.get(roomId);
      if (sentAt === undefined) return roomId;
      earliest = Math.min(earliest, sentAt + minGapMs);
    }
    if (earliest < Number.POSITIVE_INFINITY) this.#wakeIn(earliest - now);
    return undefined;
  }

  #show(): InboxEvent<Room> | undefined {
    const now = performance.now();
    this.#noteSent(now);
    const roomId = this.#nextDue(now);
    const room = roomId === undefined ? undefined : this.#options.showRoom(roomId);
    if (roomId === undefined || room === undefined) return undefined;
    this.#due.delete(roomId);
    return changeOf(room, roomId);
  }

  async #read(roomId: string): Promise<InboxEvent<Room> | undefined> {
    this.#due.delete(roomId);
    try {
      const room = await this.#options.readRoom(roomId);
      this.#underWay = roomId;
      return room === null ? { kind: 'ROOM_REMOVED', roomId } : changeOf(room, roomId);
    } catch (error) {
      if (!(error instanceof ChatError) || error.code !== 'UNAVAILABLE') throw error;
      // A short outage of the database delays the event but does not end the subscription.
      this.#due.add(roomId);
      this.#sentAt.set(roomId, performance.now() + retryMs);
      this.#wakeIn(retryMs + minGapMs);
      return undefined;
    }
  }

  #wakeIn(ms: number): void {
    clearTimeout(this.#waiting);
    this.#waiting = setTimeout(() => this.wake(), Math.max(0, ms) + 1);
  }
}

/** Keyed by the room object: all watchers of that viewer share its event. */
const changes = new WeakMap<object, InboxEvent<unknown>>();

function changeOf<Room extends object>(room: Room, roomId: string): InboxEvent<Room> {
  const known = changes.get(room) ?? { kind: 'ROOM_CHANGED', roomId, room };
  changes.set(room, known);
  return known as InboxEvent<Room>;
}
