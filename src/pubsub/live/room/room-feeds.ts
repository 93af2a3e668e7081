import type { Logger } from 'pino';
import { every, type Loop } from '../../../domain/every.js';
import type { LogEntry, LogStore, Member } from '../../../domain/room-log.js';
import { encodeMember } from '../../nats/encoding.js';
import type { EntrySeal } from '../../nats/entry-seal.js';
import type { PubSub } from '../../nats/pub-sub.js';
import { Seldom } from '../../nats/seldom.js';
import { ownReadSubject, readSubject } from '../../nats/subjects.js';
import { createOutbox, type Outbox, type OutboxOptions } from './outbox.js';
import { type CursorOptions, RoomCursor } from './room-cursor.js';
import { RoomFeed } from './room-feed.js';

const sweepMs = 1_000;
/** A mark that was told this long before NATS went may not have arrived. */
const readMemoryMs = 5_000;
/** Behind a connection's return: the other instances' may take a moment longer. */
const readAgainMs = 2_000;
const maxReadsKept = 10_000;

/** Told of what is committed on this instance, at once. */
export interface PublishListener {
  readonly entry: (entry: LogEntry) => void;
  readonly read?: (member: Member) => void;
}

/** All the rooms that somebody listens to in this process, and the way of what is committed here to everybody else. */
export class RoomFeeds {
  readonly #pubsub: PubSub;
  readonly #store: LogStore;
  readonly #seal: EntrySeal;
  readonly #log: Logger;
  readonly #failures = new Seldom();
  readonly #outbox: Outbox;
  readonly #open = new Map<string, RoomFeed>();
  readonly #listeners: PublishListener[] = [];
  /** Read marks of the last seconds, and all since NATS went away. */
  readonly #reads = new Map<string, { readonly member: Member; readonly at: number }>();
  readonly #sweeping: Loop;
  #readsAgain: NodeJS.Timeout | undefined;

  constructor(options: OutboxOptions) {
    const { pubsub, store, seal, log } = options;
    this.#pubsub = pubsub;
    this.#store = store;
    this.#seal = seal;
    this.#log = log;
    this.#outbox = createOutbox(options);
    pubsub.onConnect(() => {
      clearTimeout(this.#readsAgain);
      this.#readsAgain = setTimeout(() => this.#tellReadsAgain(), readAgainMs);
    });
    const onError = (error: unknown) =>
      log.warn({ err: error }, 'The feeds could not be compared with the database; it is tried again');
    this.#sweeping = every(sweepMs, () => this.#sweep(), { onError });
  }

  /** How many rooms are listened to. */
  get size(): number {
    return this.#open.size;
  }

  /** What is committed and not in the stream yet. */
  get unpublished(): Outbox['watch'] {
    return this.#outbox.watch;
  }

  onPublish(listener: PublishListener): void {
    this.#listeners.push(listener);
  }

  /**
   * Tells everybody of committed entries, here at once and elsewhere through the stream. Not awaited: the rows are the
   * truth, and the feeds heal whatever is lost on the way.
   */
  publish(entries: readonly LogEntry[]): void {
    for (const entry of entries) {
      this.#open.get(entry.message.roomId)?.accept(entry);
      for (const listener of this.#listeners) listener.entry(entry);
      this.#outbox.publish(entry);
    }
  }

  /** Tells everybody that a member's read mark moved. Not part of the log: who is away asks the database. */
  publishRead(member: Member): void {
    this.#open.get(member.roomId)?.acceptRead(member);
    for (const listener of this.#listeners) listener.read?.(member);
    this.#signalRead(member);
    if (this.#reads.size >= maxReadsKept) return;
    const key = `${member.roomId} ${member.userId}`;
    this.#reads.delete(key);
    this.#reads.set(key, { member, at: performance.now() });
  }

  /**
   * A subscription's cursor. Registers with the feed first and asks for the grant behind that, so that nothing falls
   * between the two: what is committed after the grant's head reaches the feed.
   * @param grant - where the log stands and how to go on from there; its refusal is thrown on
   */
  async subscribe(roomId: string, grant: () => Promise<Omit<CursorOptions, 'feed' | 'store'>>): Promise<RoomCursor> {
    const feed = this.hold(roomId);
    try {
      await feed.opened;
      return new RoomCursor({ ...(await grant()), feed, store: this.#store });
    } catch (error) {
      feed.release();
      throw error;
    }
  }

  /** The room's feed, open until it is released by all who hold it. */
  hold(roomId: string): RoomFeed {
    const feed = this.#open.get(roomId) ?? this.#openFeed(roomId);
    feed.hold();
    return feed;
  }

  async close(): Promise<void> {
    clearTimeout(this.#readsAgain);
    await this.#sweeping.stop();
    await this.#outbox.close();
    for (const feed of this.#open.values()) feed.close();
  }

  /** To who watches the room, and to the reader's own other devices. */
  #signalRead(member: Member): void {
    const body = encodeMember(member);
    this.#pubsub.signal(readSubject(member.roomId), body);
    this.#pubsub.signal(ownReadSubject(member.userId), body);
  }

  #forgetReads(): void {
    if (!this.#pubsub.isConnected || this.#readsAgain !== undefined) return;
    const tooOld = performance.now() - readMemoryMs;
    for (const [key, { at }] of this.#reads) {
      if (at > tooOld) return;
      this.#reads.delete(key);
    }
  }

  /** Signals are kept nowhere: what was told while NATS was away, or just before, is told again. */
  #tellReadsAgain(): void {
    this.#readsAgain = undefined;
    for (const { member } of this.#reads.values()) this.#signalRead(member);
  }

  #openFeed(roomId: string): RoomFeed {
    const onClose = () => this.#open.delete(roomId);
    const feed = new RoomFeed(roomId, {
      pubsub: this.#pubsub,
      store: this.#store,
      seal: this.#seal,
      log: this.#log,
      failures: this.#failures,
      onClose,
    });
    this.#open.set(roomId, feed);
    return feed;
  }

  /** One query for all rooms: a lost tail, or NATS being away, delays an entry by little more than the interval. */
  async #sweep(): Promise<void> {
    this.#forgetReads();
    if (this.#open.size === 0) return;
    const before = new Map([...this.#open].map(([roomId, { head, epoch }]) => [roomId, { seq: head, epoch }]));
    const heads = await this.#store.readHeads([...before.keys()]);
    for (const [roomId, position] of before) {
      const feed = this.#open.get(roomId);
      const head = heads.get(roomId);
      if (head === undefined) feed?.doubt();
      else feed?.compareWith(head, position);
    }
  }
}
