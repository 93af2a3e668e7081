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
import { RoomFeed, type RoomFeedOptions } from './room-feed.js';
import { readMark, type StateKind } from './room-states.js';

const sweepMs = 1_000;
/** A read mark that was published this long before a disconnect may not have arrived. */
const readMemoryMs = 5_000;
/** The delay after a reconnect, because other instances may reconnect a moment later. */
const readAgainMs = 2_000;
const maxReadsKept = 10_000;

export interface RoomFeedsOptions extends OutboxOptions, Pick<RoomFeedOptions, 'stateKinds'> {}

/** Called at once for changes that are committed on this instance. */
export interface PublishListener {
  readonly entry: (entry: LogEntry) => void;
  readonly read?: (member: Member) => void;
}

/** The feeds of all rooms with listeners in this process, and the publishing of changes that are committed here. */
export class RoomFeeds {
  readonly #pubsub: PubSub;
  readonly #store: LogStore;
  readonly #seal: EntrySeal;
  readonly #stateKinds: readonly StateKind[];
  readonly #log: Logger;
  readonly #failures = new Seldom();
  readonly #outbox: Outbox;
  readonly #open = new Map<string, RoomFeed>();
  readonly #listeners: PublishListener[] = [];
  /** Read marks of the last seconds, and all since NATS was disconnected. */
  readonly #reads = new Map<string, { readonly member: Member; readonly at: number }>();
  readonly #sweeping: Loop;
  #readsAgain: NodeJS.Timeout | undefined;

  constructor(options: RoomFeedsOptions) {
    const { pubsub, store, seal, stateKinds, log } = options;
    this.#pubsub = pubsub;
    this.#store = store;
    this.#seal = seal;
    this.#stateKinds = stateKinds;
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

  /** The number of open feeds. */
  get size(): number {
    return this.#open.size;
  }

  /** The committed entries that the stream lacks. */
  get unpublished(): Outbox['watch'] {
    return this.#outbox.watch;
  }

  onPublish(listener: PublishListener): void {
    this.#listeners.push(listener);
  }

  /**
   * Publishes committed entries, to this process at once and to other instances through the stream. Does not wait: the
   * database has the entries, and the feeds read missing ones from it.
   */
  publish(entries: readonly LogEntry[]): void {
    for (const entry of entries) {
      this.#open.get(entry.message.roomId)?.accept(entry);
      for (const listener of this.#listeners) listener.entry(entry);
      this.#outbox.publish(entry);
    }
  }

  /** Publishes the move of a member's read mark. It is not part of the log: a client that was away has to query it. */
  publishRead(member: Member): void {
    this.#open.get(member.roomId)?.acceptState(readMark, member);
    for (const listener of this.#listeners) listener.read?.(member);
    this.#signalRead(member);
    if (this.#reads.size >= maxReadsKept) return;
    const key = `${member.roomId} ${member.userId}`;
    this.#reads.delete(key);
    this.#reads.set(key, { member, at: performance.now() });
  }

  /**
   * Opens a subscription's cursor. Opens the feed before it calls `grant`, so that no entry falls between the two: entries
   * committed after the grant's head reach the feed.
   * @param grant - resolves with the position of the log and how to continue from there; its refusal is rethrown
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

  /** Returns the room's feed, which stays open until all holders have released it. */
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

  /** Notifies subscribers of the room, and the other connections of the reader. */
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

  /** NATS does not store signals: repeats those from the time of a disconnect or just before. */
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
      stateKinds: this.#stateKinds,
      log: this.#log,
      failures: this.#failures,
      onClose,
    });
    this.#open.set(roomId, feed);
    return feed;
  }

  /**
   * Compares all feeds with the database in one query. The loss of a last entry, or an outage of NATS, delays an event by
   * little more than the interval.
   */
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
