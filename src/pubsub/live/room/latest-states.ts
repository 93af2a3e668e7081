import type { RoomEvent } from '../../../domain/room-event.js';
import type { RoomState, StateKind } from './room-states.js';

/** The largest room has as many members; others on NATS may publish more keys. A dropped state is not sent any more. */
export const maxStatesKept = 10_000;

/** The newest state of a key. */
export interface LatestState {
  /** Increases with each state. */
  readonly version: number;
  readonly kind: StateKind;
  readonly state: RoomState;
  /** The position of the entry that subscribers get first. */
  readonly seq: number;
  /** The event as last created. */
  event?: RoomEvent;
}

/**
 * The newest states of one room, of all kinds, in the order in which they came. A subscriber keeps the version of the last one
 * that it got: it gets the states of other keys in order, and of a key that changed several times meanwhile only the newest.
 */
export class LatestStates {
  /** In the order of versions, because each state is inserted at the end. */
  readonly #byKey = new Map<string, LatestState>();
  /** The same as a list, to search it; created when it is needed. */
  #inOrder: readonly LatestState[] | undefined;
  #version = 0;

  /** The version of the newest state. */
  get version(): number {
    return this.#version;
  }

  /** Returns false if the state is not newer than the known one with its key. */
  accept<State extends RoomState>(kind: StateKind<State>, state: State): boolean {
    const key = `${kind.name} ${kind.key(state)}`;
    const known = this.#byKey.get(key);
    if (known !== undefined && !kind.isNewer(state, known.state as State)) return false;
    this.#version += 1;
    this.#byKey.delete(key);
    this.#byKey.set(key, { version: this.#version, kind, state, seq: kind.seq(state) });
    if (this.#byKey.size > maxStatesKept) {
      const [oldest = ''] = this.#byKey.keys();
      this.#byKey.delete(oldest);
    }
    this.#inOrder = undefined;
    return true;
  }

  /** Returns the oldest state after the version. */
  after(version: number): LatestState | undefined {
    if (version === this.#version) return undefined;
    this.#inOrder ??= [...this.#byKey.values()];
    const states = this.#inOrder;
    let low = 0;
    let high = states.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((states[middle] as LatestState).version <= version) low = middle + 1;
      else high = middle;
    }
    return states[low];
  }

  /** Forgets all states; versions continue. */
  clear(): void {
    this.#byKey.clear();
    this.#inOrder = undefined;
  }
}
