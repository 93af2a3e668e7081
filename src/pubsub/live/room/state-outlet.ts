import type { RoomEvent } from '../../../domain/room-event.js';
import type { LogPosition } from '../../../domain/room-log.js';
import type { Listener } from '../../../domain/source.js';
import type { Listeners } from '../listeners.js';
import { LatestStates } from './latest-states.js';
import type { RoomState, StateKind } from './room-states.js';

/** The gap may have narrowed since a wait began: it is looked at again after this time at most. */
const maxWaitMs = 1_000;

/** An event of one or several states: one object for all subscribers that get it at the same position. */
export interface StateNews {
  /** Of the last state in the event. */
  readonly version: number;
  readonly event: RoomEvent;
}

/**
 * The states of one kind for the subscribers of one room that get them in the same way. The waiting and the merging is done
 * here, once for all of them; a subscriber keeps only the version of the last state that it got.
 */
export abstract class StateOutlet<State extends RoomState = RoomState> {
  protected readonly kind: StateKind<State>;
  /** What subscribers can get. */
  protected readonly shown: LatestStates<State>;
  /** The newest state of each key that has to wait. */
  protected readonly waiting = new Map<string | number, State>();
  /** The shortest time between two events of one key, or between two batches, at the moment. */
  protected readonly gapMs: () => number;
  readonly #listeners: Listeners;
  #timer: NodeJS.Timeout | undefined;

  constructor(kind: StateKind<State>, listeners: Listeners, gapMs: () => number) {
    this.kind = kind;
    this.gapMs = gapMs;
    this.shown = new LatestStates(kind);
    this.#listeners = listeners;
  }

  /** The version of the newest state that subscribers can get. */
  get version(): number {
    return this.shown.version;
  }

  get isWatched(): boolean {
    return this.#listeners.size > 0;
  }

  /**
   * Returns the next event after the version for a subscriber at this position; undefined if there is none, or if it refers
   * to an entry ahead: the viewer's membership may end before that entry, so the event comes after both.
   */
  abstract next(version: number, position: LogPosition): StateNews | undefined;

  /** Shows the state, now or later. */
  protected abstract admit(key: string | number, state: State): void;

  /** Shows the waiting states that are due, and calls `releaseIn` for the others. */
  protected abstract release(): void;

  /** Forgets what only the present subscribers need. */
  protected abstract reset(): void;

  accept(state: State): void {
    const key = this.kind.key(state);
    const waiting = this.waiting.get(key);
    if (waiting === undefined ? !this.shown.isNews(state) : !this.kind.isNewer(state, waiting)) return;
    // Without a subscriber nothing waits: the state is only kept, to recognise its repetition.
    if (this.#listeners.size === 0) this.shown.accept(state);
    else this.admit(key, state);
  }

  /** Wakes the listener when there may be another event, until it is removed with `forget`. */
  listen(listener: Listener): void {
    this.#listeners.add(listener);
  }

  forget(listener: Listener): void {
    this.#listeners.delete(listener);
    if (this.#listeners.size > 0) return;
    for (const state of this.waiting.values()) this.shown.accept(state);
    this.#stop();
  }

  /** Forgets all states, as after a change of the epoch. */
  clear(): void {
    this.#stop();
    this.shown.clear();
  }

  close(): void {
    this.#stop();
  }

  protected wake(): void {
    this.#listeners.wake();
  }

  /** Calls `release` after this time, or earlier, unless it is to be called already. */
  protected releaseIn(ms: number): void {
    this.#timer ??= setTimeout(
      () => {
        this.#timer = undefined;
        this.release();
      },
      Math.min(ms, maxWaitMs),
    );
  }

  #stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.waiting.clear();
    this.reset();
  }
}
