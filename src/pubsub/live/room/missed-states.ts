import type { Logger } from 'pino';
import { every, type Loop } from '../../../domain/every.js';
import type { PubSub } from '../../nats/pub-sub.js';
import { readStates, type StateReading } from './state-reading.js';
import { doubtMs } from './state-signals.js';

const checkMs = 1_000;
/** After a reconnect, subscriptions take effect, and other instances publish theirs again, before the database is read. */
const settleMs = 2_000;

export interface MissedStatesOptions extends StateReading {
  readonly pubsub: PubSub;
  readonly log: Logger;
}

/**
 * The states that other instances published while this one could not receive them. After a reconnect, reads those of the
 * outage and of `doubtMs` before it from the database, for the rooms with open feeds, until all statements have succeeded.
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
      await readStates(this.#options, [...this.#options.feeds.keys()], since - doubtMs);
    } catch (error) {
      this.#missedSince = since;
      throw error;
    }
  }
}
