import type { RoomEvent } from '../../../domain/room-event.js';
import type { RoomState, StateKind } from './room-states.js';

/** The largest room has as many members; others on NATS may publish more keys. A dropped state is not sent any more. */
export const maxStatesKept = 10_000;

/** The newest state of a key. */
export interface LatestState<State extends RoomState = RoomState> {
  /** Increases with each state. */
  readonly version: number;
  readonly state: State;
  /** The state that it has replaced. */
  readonly before: State | undefined;
  /** The position of the entry that subscribers get first. */
  readonly seq: number;
  /** The event of this state alone, as last created. */
  event?: RoomEvent;
}

/**
 * The newest states of one kind in one room, in the order in which they came. A subscriber keeps the version of the last one
 * that it got: it gets the states of other keys in order, and of a key that changed several times meanwhile only the newest.
 */
export class LatestStates<State extends RoomState = RoomState> {
  readonly #kind: StateKind<State>;
  /** In the order of versions, because each state is inserted at the end. */
  readonly #byKey = new Map<string | number, LatestState<State>>();
  /** The same as a list, to search it; created when it is needed. */
  #inOrder: readonly LatestState<State>[] | undefined;
  #version = 0;

  constructor(kind: StateKind<State>) {
    this.#kind = kind;
  }

  /** The version of the newest state. */
  get version(): number {
    return this.#version;
  }

  /** Whether the state is newer than the known one with its key. */
  isNews(state: State): boolean {
    const known = this.#byKey.get(this.#kind.key(state));
    return known === undefined || this.#kind.isNewer(state, known.state);
  }

  /** Returns false if the state is not newer than the known one with its key. */
  accept(state: State): boolean {
    if (!this.isNews(state)) return false;
    const key = this.#kind.key(state);
    const before = this.#byKey.get(key)?.state;
    this.#version += 1;
    this.#byKey.delete(key);
    this.#byKey.set(key, { version: this.#version, state, before, seq: this.#kind.seq(state) });
    if (this.#byKey.size > maxStatesKept) {
      const [oldest = ''] = this.#byKey.keys();
      this.#byKey.delete(oldest);
    }
    this.#inOrder = undefined;
    return true;
  }

  /** Returns the oldest state after the version. */
  after(version: number): LatestState<State> | undefined {
    return version === this.#version ? undefined : this.#listed[this.#placeAfter(version)];
  }

  /** Returns the oldest states after the version, at most `count`. */
  allAfter(version: number, count: number): readonly LatestState<State>[] {
    const place = this.#placeAfter(version);
    return this.#listed.slice(place, place + count);
  }

  /** Forgets all states; versions continue. */
  clear(): void {
    this.#byKey.clear();
    this.#inOrder = undefined;
  }

  get #listed(): readonly LatestState<State>[] {
    this.#inOrder ??= [...this.#byKey.values()];
    return this.#inOrder;
  }

  #placeAfter(version: number): number {
    const states = this.#listed;
    let low = 0;
    let high = states.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((states[middle] as LatestState).version <= version) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
