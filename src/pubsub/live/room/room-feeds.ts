import { every, type Loop } from '../../../domain/every.js';
import type { LogEntry, LogStore } from '../../../domain/room-log.js';
import { Seldom } from '../../nats/seldom.js';
import { type HeldUntil, LateEntries } from './late-entries.js';
import { MissedStates } from './missed-states.js';
import { createOutbox, type Outbox, type OutboxOptions } from './outbox.js';
import { type CursorOptions, RoomCursor } from './room-cursor.js';
import { RoomFeed, type RoomFeedOptions } from './room-feed.js';
import type { RoomOutletsOptions } from './room-outlets.js';
import type { RoomState, StateKind } from './room-states.js';
import { StateComparison } from './state-comparison.js';
import { StateSignals } from './state-signals.js';

const sweepMs = 1_000;

export interface RoomFeedsOptions extends OutboxOptions, RoomOutletsOptions {
  readonly heldUntil: HeldUntil;
}

interface StateListener {
  readonly kind: StateKind;
  notify(state: RoomState): void;
}

/** The feeds of all rooms with listeners in this process, and the publishing of changes that are committed here. */
export class RoomFeeds {
  /** How late entries are delivered. */
  readonly lateEntries: LateEntries;
  readonly #store: LogStore;
  readonly #feedOptions: Omit<RoomFeedOptions, 'onClose'>;
  readonly #outbox: Outbox;
  readonly #open = new Map<string, RoomFeed>();
  readonly #signals: StateSignals;
  readonly #missed: MissedStates;
  readonly #comparison: StateComparison;
  readonly #listeners: ((entry: LogEntry) => void)[] = [];
  readonly #stateListeners: StateListener[] = [];
  readonly #sweeping: Loop;

  constructor(options: RoomFeedsOptions) {
    const { pubsub, store, log } = options;
    this.#store = store;
    this.lateEntries = new LateEntries(options.heldUntil);
    this.#feedOptions = { ...options, failures: new Seldom(), onEntry: this.lateEntries.note };
    this.#outbox = createOutbox(options);
    this.#signals = new StateSignals(pubsub);
    this.#missed = new MissedStates({ ...options, feeds: this.#open });
    this.#comparison = new StateComparison({ ...options, feeds: this.#open });
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

  /** Calls the listener at once for each entry that is published here. */
  onPublish(listener: (entry: LogEntry) => void): void {
    this.#listeners.push(listener);
  }

  /** Calls the listener at once for each state of this kind that is published here. */
  onState<State extends RoomState>(kind: StateKind<State>, notify: (state: State) => void): void {
    this.#stateListeners.push({ kind, notify });
  }

  /**
   * Publishes committed entries, to this process at once and to other instances through the stream. Does not wait: the
   * database has the entries, and the feeds read missing ones from it.
   */
  publish(entries: readonly LogEntry[]): void {
    for (const entry of entries) {
      this.#open.get(entry.message.roomId)?.accept(entry);
      for (const listener of this.#listeners) listener(entry);
      this.#outbox.publish(entry);
    }
  }

  /**
   * Publishes a committed state, to this process at once and to other instances over NATS. It is not part of the log: a
   * client that was away has to query it.
   */
  publishState<State extends RoomState>(kind: StateKind<State>, state: State): void {
    this.#open.get(state.roomId)?.acceptState(kind, state);
    for (const listener of this.#stateListeners) if (listener.kind === kind) listener.notify(state);
    this.#signals.publish(kind, state);
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
    this.#signals.close();
    await this.#missed.close();
    await this.#comparison.close();
    await this.#sweeping.stop();
    await this.#outbox.close();
    for (const feed of this.#open.values()) feed.close();
  }

  #openFeed(roomId: string): RoomFeed {
    const feed = new RoomFeed(roomId, { ...this.#feedOptions, onClose: () => this.#open.delete(roomId) });
    this.#open.set(roomId, feed);
    return feed;
  }

  /**
   * Compares all feeds with the database in one query. The loss of a last entry, or an outage of NATS, delays an event by
   * little more than the interval.
   */
  async #sweep(): Promise<void> {
    this.#signals.forgetOld();
    if (this.#open.size === 0) return;
    const before = new Map([...this.#open].map(([roomId, { head, epoch }]) => [roomId, { seq: head, epoch }]));
    const askedAt = performance.now();
    const heads = await this.#store.readHeads([...before.keys()]);
    for (const [roomId, position] of before) {
      const feed = this.#open.get(roomId);
      const head = heads.get(roomId);
      if (head === undefined) feed?.doubt();
      else feed?.compareWith(head, position, askedAt);
    }
  }
}
