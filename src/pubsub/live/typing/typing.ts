import { randomUUID } from 'node:crypto';
import type { Source } from '../../../domain/source.js';
import { type TypingState, type TypingStore, typingExpiresInMs } from '../../../domain/typing.js';
import { encodeTyping } from '../../nats/encoding.js';
import type { PubSub } from '../../nats/pub-sub.js';
import { typingSubject } from '../../nats/subjects.js';
import type { LoadGauge } from '../load-gauge.js';
import type { RoomFeeds } from '../room/room-feeds.js';
import { TypingGate } from './typing-gate.js';
import { readWords, TypingRoom } from './typing-room.js';
import type { TypingGrant } from './typing-watcher.js';
import type { Said } from './typing-words.js';

export interface TypingOptions {
  readonly feeds: RoomFeeds;
  readonly pubsub: PubSub;
  readonly store: TypingStore;
  readonly load: LoadGauge;
}

interface Held {
  readonly room: TypingRoom;
  holders: number;
}

/** Publishes the typing signals of this process's users, and holds the rooms that are watched here. */
export class Typing {
  readonly #options: TypingOptions;
  readonly #instanceId = randomUUID();
  readonly #rooms = new Map<string, Held>();
  /** By user and room: the gates of users who sent a signal here in the last seconds. */
  readonly #gates = new Map<number, Map<string, TypingGate>>();

  constructor(options: TypingOptions) {
    this.#options = options;
  }

  /** How many rooms are watched. */
  get size(): number {
    return this.#rooms.size;
  }

  /** Whether a signal of this user was accepted less than a second ago: the next one needs no permission check. */
  isKnown(roomId: string, userId: number): boolean {
    return this.#gates.get(userId)?.get(roomId)?.isFresh === true;
  }

  /**
   * The head of the room's log if this process knows that the user may write in the room, because they watch the typing there
   * on this process. Null if the permission has to be read.
   */
  seqForWriter(roomId: string, userId: number): number | null {
    return this.#rooms.get(roomId)?.room.seqForWriter(userId) ?? null;
  }

  /** Registers a signal before its permission check. A stop or a message during the check ends this signal as well. */
  hear(roomId: string, { userId, isTyping, saidAt }: Omit<Said, 'seq'>): void {
    this.#gateOf(roomId, userId).hear(isTyping, saidAt);
  }

  /**
   * Publishes a permitted signal; signals within a second are merged. Never fails: a lost signal expires.
   * @param said - with `saidAt`, the time of its arrival by `performance.now()`, which decides the order
   */
  signal(roomId: string, { userId, isTyping, saidAt, seq }: Said): void {
    this.#gateOf(roomId, userId).submit(isTyping, saidAt, seq);
  }

  /** The user has sent a message, which ends their typing. Watchers also see it in the log. */
  end(roomId: string, userId: number, seq: number): void {
    this.#gates.get(userId)?.get(roomId)?.end(seq);
  }

  /** Call it when the user's last connection to this instance has closed. */
  endAll(userId: number): void {
    for (const gate of this.#gates.get(userId)?.values() ?? []) gate.end();
  }

  /**
   * The current list, then every change. Registers with the room before it asks for the grant, so that it cannot miss the end
   * of a membership in between.
   * @param grant - its refusal is thrown; the iterator throws FORBIDDEN when the membership ends
   */
  async watch(roomId: string, grant: () => Promise<TypingGrant>): Promise<Source<TypingState>> {
    const room = this.#acquire(roomId);
    try {
      await room.opened;
      const granted = await grant();
      await room.verify();
      return room.watch(granted, () => this.#release(roomId, room));
    } catch (error) {
      this.#release(roomId, room);
      throw error;
    }
  }

  /** The users who are typing in the room now. If the room is not watched here, it reads the last seconds of the stream. */
  async list(roomId: string): Promise<readonly number[]> {
    const room = this.#rooms.get(roomId)?.room;
    await room?.opened;
    const { typists } = room ?? (await readWords(this.#options.pubsub, roomId));
    // Only the database knows every message and membership at once.
    const kept = typists.length === 0 ? [] : await this.#options.store.keepTyping(roomId, typists);
    return kept.map(({ userId }) => userId);
  }

  close(): void {
    for (const gates of this.#gates.values()) for (const gate of gates.values()) gate.close();
    for (const { room } of this.#rooms.values()) room.close();
    this.#rooms.clear();
  }

  #gateOf(roomId: string, userId: number): TypingGate {
    const gates = this.#gates.get(userId) ?? new Map<string, TypingGate>();
    this.#gates.set(userId, gates);
    let gate = gates.get(roomId);
    if (gate === undefined) {
      gate = new TypingGate({
        pass: (isTyping, saidAt, seq) => this.#pass(roomId, { userId, isTyping, saidAt, seq }),
        onIdle: () => {
          gates.delete(roomId);
          if (gates.size === 0) this.#gates.delete(userId);
        },
      });
      gates.set(roomId, gate);
    }
    return gate;
  }

  #pass(roomId: string, { saidAt, ...said }: Said): void {
    const signal = { ...said, ageMs: performance.now() - saidAt };
    if (signal.ageMs > typingExpiresInMs) return;
    this.#rooms.get(roomId)?.room.signal(signal);
    this.#options.pubsub.signal(typingSubject(roomId), encodeTyping({ ...signal, from: this.#instanceId }));
  }

  #acquire(roomId: string): TypingRoom {
    const known = this.#rooms.get(roomId);
    if (known !== undefined) {
      known.holders += 1;
      return known.room;
    }
    const { feeds, ...options } = this.#options;
    const room = new TypingRoom({ ...options, feed: feeds.hold(roomId), instanceId: this.#instanceId });
    this.#rooms.set(roomId, { room, holders: 1 });
    return room;
  }

  #release(roomId: string, room: TypingRoom): void {
    const held = this.#rooms.get(roomId);
    if (held?.room !== room) return;
    held.holders -= 1;
    if (held.holders > 0) return;
    this.#rooms.delete(roomId);
    room.close();
  }
}
