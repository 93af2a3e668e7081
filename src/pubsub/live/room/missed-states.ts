import type { Logger } from 'pino';
import { every, type Loop } from '../../../domain/every.js';
import type { LogStore } from '../../../domain/room-log.js';
import type { PubSub } from '../../nats/pub-sub.js';
import { maxStatesKept } from './latest-states.js';
import type { RoomFeed } from './room-feed.js';
import type { StateKind } from './room-states.js';
import { doubtMs } from './state-signals.js';

const checkMs = 1_000;
/** After a reconnect, subscriptions take effect, and other instances publish theirs again, before the database is read. */
const settleMs = 2_000;
const roomsPerStatement = 200;

export interface MissedStatesOptions {
  readonly pubsub: PubSub;
  readonly store: LogStore;
  readonly stateKinds: readonly StateKind[];
  readonly log: Logger;
  /** The open feeds, by room. */
  readonly feeds: ReadonlyMap<string, RoomFeed>;
}

/**
 * The states that other instances published while this one could not receive them. After a reconnect, reads those of the
 * outage and of `doubtMs` before it from the database, for the rooms with open feeds: one statement after the other, until
 * all have succeeded. The feeds ignore what they have.
 */
export class MissedStates {
  readonly #options: MissedStatesOptions;
  readonly #checking: Loop;
  /** When the connection was last known to be up. */
  #connectedAt = performance.now();
  /** When the outage began whose states have to be read. */
  #missedSince: number | undefined;
  #dueAt = 0;

  constructor(options: MissedStatesOptions) {
    const { pubsub, log } = options;
    this.#options = options;
    pubsub.onConnect(() => {
      this.#missedSince ??= this.#connectedAt;
      this.#dueAt = performance.now() + settleMs;
    });
    const onError = (error: unknown) =>
      log.warn(
        { err: error },
        'The states of an outage of NATS could not be read from the database; it is tried again',
      );
    this.#checking = every(checkMs, () => this.#check(), { onError });
  }

  close(): Promise<void> {
    return this.#checking.stop();
  }

  async #check(): Promise<void> {
    if (!this.#options.pubsub.isConnected) return;
    const now = performance.now();
    this.#connectedAt = now;
    const since = this.#missedSince;
    if (since === undefined || now < this.#dueAt) return;
    this.#missedSince = undefined;
    try {
      await this.#readSince(since - doubtMs);
    } catch (error) {
      this.#missedSince = since;
      throw error;
    }
  }

  async #readSince(start: number): Promise<void> {
    const roomIds = [...this.#options.feeds.keys()];
    for (const kind of this.#options.stateKinds) {
      for (let at = 0; at < roomIds.length; at += roomsPerStatement) {
        await this.#read(kind, roomIds.slice(at, at + roomsPerStatement), start);
      }
    }
  }

  async #read(kind: StateKind, roomIds: readonly string[], start: number): Promise<void> {
    const { store, feeds } = this.#options;
    // Rooms that were closed meanwhile need no states.
    const open = roomIds.filter((roomId) => feeds.has(roomId));
    if (open.length === 0) return;
    const ageMs = performance.now() - start;
    const states = await kind.load(store, { roomIds: open, ageMs, count: maxStatesKept });
    if (states.length >= maxStatesKept && open.length > 1) {
      // There may be more than one statement may return.
      const half = Math.ceil(open.length / 2);
      await this.#read(kind, open.slice(0, half), start);
      await this.#read(kind, open.slice(half), start);
      return;
    }
    for (const state of states) feeds.get(state.roomId)?.acceptState(kind, state);
  }
}
