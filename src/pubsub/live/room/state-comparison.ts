import type { Logger } from 'pino';
import { every, type Loop } from '../../../domain/every.js';
import type { RoomFeed } from './room-feed.js';
import { readStates, roomsPerStatement, type StateReading } from './state-reading.js';

const checkMs = 1_000;
/** How often a room is compared. With more rooms than `roomsPerStatement` for each check of that time, less often. */
const everyMs = 10_000;
/** A state that is dated before a comparison may have been committed after it. */
const lateCommitMs = 10_000;

export interface StateComparisonOptions extends StateReading {
  readonly log: Logger;
}

/**
 * Compares the states that subscribers see with the database, all rooms in turn. A state is published once it is committed: an
 * instance that is killed in between, or loses the answer of the database, never publishes it, and a repetition of the
 * request changes nothing any more. Such losses are rare, so a check is one statement at most.
 */
export class StateComparison {
  readonly #options: StateComparisonOptions;
  readonly #checking: Loop;
  /** The time up to which each feed's states are known, but for late commits. */
  readonly #comparedAt = new WeakMap<RoomFeed, number>();

  constructor(options: StateComparisonOptions) {
    this.#options = options;
    const onError = (error: unknown) =>
      options.log.warn(
        { err: error },
        'The states of rooms could not be compared with the database; it is tried again',
      );
    this.#checking = every(checkMs, () => this.#check(), { onError });
  }

  close(): Promise<void> {
    return this.#checking.stop();
  }

  async #check(): Promise<void> {
    const now = performance.now();
    const due = this.#findDue(now);
    const [first] = due;
    if (first === undefined) return;
    const roomIds = due.map(({ feed }) => feed.roomId);
    await readStates(this.#options, roomIds, first.comparedAt - lateCommitMs);
    for (const { feed } of due) this.#comparedAt.set(feed, now);
  }

  /** The feeds that were compared longest ago come first. */
  #findDue(now: number) {
    const due: { readonly feed: RoomFeed; readonly comparedAt: number }[] = [];
    for (const feed of this.#options.feeds.values()) {
      // What was committed before somebody watches is no news: a subscriber queries it.
      const comparedAt = this.#comparedAt.get(feed) ?? feed.openedAt + lateCommitMs;
      if (!feed.states.areWatched) this.#comparedAt.set(feed, now + lateCommitMs);
      else if (comparedAt + everyMs <= now) due.push({ feed, comparedAt });
    }
    return due.sort((a, b) => a.comparedAt - b.comparedAt).slice(0, roomsPerStatement);
  }
}
