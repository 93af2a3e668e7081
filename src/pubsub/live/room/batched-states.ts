import type { RoomEvent } from '../../../domain/room-event.js';
import type { LogPosition } from '../../../domain/room-log.js';
import type { Listeners } from '../listeners.js';
import { maxStatesKept } from './latest-states.js';
import type { RoomState, StateKind } from './room-states.js';
import { type StateNews, StateOutlet } from './state-outlet.js';

interface Batch<State> {
  /** Of its last state. */
  readonly version: number;
  readonly states: readonly State[];
  /** The position of the last entry that one of the states refers to. */
  readonly seq: number;
  /** The event as last created. */
  event?: RoomEvent;
}

interface BatchOptions {
  readonly gapMs: () => number;
  /** Further states are left to the next event. */
  readonly maxPerEvent: number;
}

/**
 * One event for all states that changed, at most one in the gap: the first one waits for others. A subscriber that falls behind
 * gets one event with the newest state of each key.
 */
export class BatchedStates<State extends RoomState = RoomState> extends StateOutlet<State> {
  readonly #maxPerEvent: number;
  /** When the first of the waiting states came. */
  #waitingSince = 0;
  /** By the version after which they begin, since the last release: one for subscribers that keep up, and few for others. */
  readonly #batches = new Map<number, Batch<State>>();

  constructor(kind: StateKind<State>, listeners: Listeners, { gapMs, maxPerEvent }: BatchOptions) {
    super(kind, listeners, gapMs);
    this.#maxPerEvent = maxPerEvent;
  }

  override next(version: number, { seq, epoch }: LogPosition): StateNews | undefined {
    const batch = this.#batchAfter(version);
    if (batch === undefined || batch.seq > seq) return undefined;
    if (batch.event?.seq !== seq || batch.event.epoch !== epoch) {
      batch.event = this.kind.batch(batch.states, { seq, epoch });
    }
    return batch as typeof batch & StateNews;
  }

  protected override admit(key: string | number, state: State): void {
    if (this.waiting.size === 0) this.#waitingSince = performance.now();
    // In the order of arrival.
    this.waiting.delete(key);
    this.waiting.set(key, state);
    if (this.waiting.size > maxStatesKept) {
      const [oldest = ''] = this.waiting.keys();
      this.waiting.delete(oldest);
    }
    this.releaseIn(this.gapMs());
  }

  protected override release(): void {
    const leftMs = this.#waitingSince + this.gapMs() - performance.now();
    if (leftMs > 0) {
      this.releaseIn(leftMs);
      return;
    }
    for (const state of this.waiting.values()) this.shown.accept(state);
    this.waiting.clear();
    this.#batches.clear();
    this.wake();
  }

  protected override reset(): void {
    this.#batches.clear();
  }

  #batchAfter(version: number): Batch<State> | undefined {
    if (version === this.version) return undefined;
    const known = this.#batches.get(version);
    if (known !== undefined) return known;
    const latest = this.shown.allAfter(version, this.#maxPerEvent);
    const last = latest.at(-1);
    if (last === undefined) return undefined;
    const batch = {
      version: last.version,
      states: latest.map(({ state }) => state),
      seq: Math.max(...latest.map(({ seq }) => seq)),
    };
    this.#batches.set(version, batch);
    return batch;
  }
}
