import { ChatError } from '../../../domain/errors.js';
import type { InboxEvent } from '../../../domain/inbox.js';
import { PullSource } from '../pull-source.js';

export interface InboxWatcherOptions<Room extends object> {
  readonly viewerId: number;
  /** The room as it is now; null if the viewer is not a member any more. */
  readonly findRoom: (roomId: string) => Promise<Room | null>;
  /** Called after each lookup. */
  readonly onLook: (roomId: string, isMember: boolean) => void;
  readonly onEnd: () => void;
}

/** The minimum time between two events of one room, from the sending of the first. */
const minGapMs = 250;
const retryMs = 1_000;

/** One subscription to an inbox: READY, then each changed room once, in its state at the time of sending. */
export class InboxWatcher<Room extends object> extends PullSource<InboxEvent<Room>> {
  readonly viewerId: number;
  readonly #options: InboxWatcherOptions<Room>;
  readonly #due = new Set<string>();
  /** When each room was last sent; removed when the room may be sent again. */
  readonly #sentAt = new Map<string, number>();
  #isReady = false;
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

  protected async take(): Promise<InboxEvent<Room> | undefined> {
    if (!this.#isReady) {
      this.#isReady = true;
      return { kind: 'READY' };
    }
    const now = performance.now();
    this.#noteSent(now);
    const roomId = this.#nextDue(now);
    return roomId === undefined ? undefined : this.#look(roomId);
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

  async #look(roomId: string): Promise<InboxEvent<Room> | undefined> {
    this.#due.delete(roomId);
    try {
      const room = await this.#options.findRoom(roomId);
      this.#options.onLook(roomId, room !== null);
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

/** Keyed by the room object of one lookup: all watchers of that viewer share its event. */
const changes = new WeakMap<object, InboxEvent<unknown>>();

function changeOf<Room extends object>(room: Room, roomId: string): InboxEvent<Room> {
  const known = changes.get(room) ?? { kind: 'ROOM_CHANGED', roomId, room };
  changes.set(room, known);
  return known as InboxEvent<Room>;
}
