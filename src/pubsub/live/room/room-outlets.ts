import type { Listeners } from '../listeners.js';
import { BatchedStates } from './batched-states.js';
import type { RoomState, StateDelivery, StateKind } from './room-states.js';
import { SingleStates } from './single-states.js';
import type { StateOutlet } from './state-outlet.js';

export interface RoomOutletsOptions {
  readonly stateKinds: readonly StateKind[];
  /** The maximum number of states in one event. */
  readonly maxStatesPerEvent: number;
  /** The shortest time between two events of one key, or between two batches, at the moment. */
  readonly stateGapMs: () => number;
}

/** The states of one room, by their kind and by how subscribers get them. */
export class RoomOutlets {
  readonly #outlets: ReadonlyMap<StateKind, Readonly<Record<StateDelivery, StateOutlet>>>;

  constructor(options: RoomOutletsOptions, createListeners: () => Listeners) {
    const { stateKinds, maxStatesPerEvent: maxPerEvent, stateGapMs: gapMs } = options;
    this.#outlets = new Map(
      stateKinds.map((kind) => [
        kind,
        {
          each: new SingleStates(kind, createListeners(), gapMs),
          batched: new BatchedStates(kind, createListeners(), { gapMs, maxPerEvent }),
        },
      ]),
    );
  }

  /** Whether anybody gets states here. */
  get areWatched(): boolean {
    for (const { each, batched } of this.#outlets.values()) if (each.isWatched || batched.isWatched) return true;
    return false;
  }

  of(kind: StateKind, delivery: StateDelivery): StateOutlet {
    const outlets = this.#outlets.get(kind);
    if (outlets === undefined) throw new Error(`There are no states of the kind ${kind.name}`);
    return outlets[delivery];
  }

  accept<State extends RoomState>(kind: StateKind<State>, state: State): void {
    for (const delivery of ['each', 'batched'] as const) this.of(kind as StateKind, delivery).accept(state);
  }

  /** Forgets all states. */
  clear(): void {
    for (const { each, batched } of this.#outlets.values()) {
      each.clear();
      batched.clear();
    }
  }

  /** Shows no more states. */
  close(): void {
    for (const { each, batched } of this.#outlets.values()) {
      each.close();
      batched.close();
    }
  }
}
