import { ChatError } from '../../../domain/errors.js';
import type { InboxEvent } from '../../../domain/inbox.js';
import { PullIterator } from '../pull-iterator.js';

export interface InboxWatcherOptions<Room extends object> {
  readonly viewerId: number;
  /** The room as it is now; null where the viewer is no member of it any more. */
  readonly findRoom: (roomId: string) => Promise<Room | null>;
  /** Told what the room turned out to be. */
  readonly onLook: (roomId: string, isMember: boolean) => void;
  readonly onEnd: () => void;
}

/** Between two events of one room, from when the first was sent. */
const minGapMs = 250;
const retryMs = 1_000;

/** One subscription to an inbox: READY, then each room that changed, once, as it is when its turn comes. */
export class InboxWatcher<Room extends object> {
  readonly viewerId: number;
  readonly events: PullIterator<InboxEvent<Room>>;
  readonly #options: InboxWatcherOptions<Room>;
  readonly #due = new Set<string>();
  /** When each room was last told; forgotten when it may be told again. */
  readonly #toldAt = new Map<string, number>();
  #isReady = false;
  #underWay: string | undefined;
  #waiting: NodeJS.Timeout | undefined;

  constructor(options: InboxWatcherOptions<Room>) {
    this.#options = options;
    this.viewerId = options.viewerId;
    this.events = new PullIterator({
      take: () => this.#take(),
      onEnd: () => {
        clearTimeout(this.#waiting);
        options.onEnd();
      },
    });
  }

  offer(roomId: string): void {
    this.#due.add(roomId);
    this.events.wake();
  }

  async #take(): Promise<InboxEvent<Room> | undefined> {
    if (!this.#isReady) {
      this.#isReady = true;
      return { kind: 'READY' };
    }
    const now = performance.now();
    this.#noteSent(now);
    const roomId = this.#nextDue(now);
    return roomId === undefined ? undefined : this.#look(roomId);
  }

  /** Who asks for more has sent what it had. */
  #noteSent(now: number): void {
    for (const [roomId, toldAt] of this.#toldAt) if (toldAt + minGapMs <= now) this.#toldAt.delete(roomId);
    if (this.#underWay !== undefined) this.#toldAt.set(this.#underWay, now);
    this.#underWay = undefined;
  }

  #nextDue(now: number): string | undefined {
    let earliest = Number.POSITIVE_INFINITY;
    for (const roomId of this.#due) {
      const toldAt = this.#toldAt.get(roomId);
      if (toldAt === undefined) return roomId;
      earliest = Math.min(earliest, toldAt + minGapMs);
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
      // A database that is away for a moment delays an event but does not end the subscription.
      this.#due.add(roomId);
      this.#toldAt.set(roomId, performance.now() + retryMs);
      this.#wakeIn(retryMs + minGapMs);
      return undefined;
    }
  }

  #wakeIn(ms: number): void {
    clearTimeout(this.#waiting);
    this.#waiting = setTimeout(() => this.events.wake(), Math.max(0, ms) + 1);
  }
}

/** By room, as it was seen by one viewer at one moment: all of their watchers have the same event then. */
const changes = new WeakMap<object, InboxEvent<unknown>>();

function changeOf<Room extends object>(room: Room, roomId: string): InboxEvent<Room> {
  const known = changes.get(room) ?? { kind: 'ROOM_CHANGED', roomId, room };
  changes.set(room, known);
  return known as InboxEvent<Room>;
}
