import { maxStallMs, type PubSub } from '../../nats/pub-sub.js';
import type { RoomState, StateKind } from './room-states.js';

/** A state that was published this long before a disconnect may not have arrived. */
export const doubtMs = maxStallMs + 5_000;
/** The delay after a reconnect, because other instances may reconnect a moment later. */
const repeatAfterMs = 2_000;
/** Beyond this, the oldest is forgotten. */
const maxKept = 10_000;

/**
 * Publishes states to other instances. NATS does not store them: after a reconnect, the newest state of each key from the time
 * of the disconnect or up to `doubtMs` before is published again.
 */
export class StateSignals {
  readonly #pubsub: PubSub;
  /** The states of the last `doubtMs`, and all since NATS was disconnected; the oldest first. */
  readonly #recent = new Map<string, { readonly kind: StateKind; readonly state: RoomState; readonly at: number }>();
  #repeating: NodeJS.Timeout | undefined;

  constructor(pubsub: PubSub) {
    this.#pubsub = pubsub;
    pubsub.onConnect(() => {
      clearTimeout(this.#repeating);
      this.#repeating = setTimeout(() => this.#repeat(), repeatAfterMs);
    });
  }

  publish<State extends RoomState>(kind: StateKind<State>, state: State): void {
    this.#signal(kind, state);
    const key = `${kind.name} ${state.roomId} ${kind.key(state)}`;
    this.#recent.delete(key);
    this.#recent.set(key, { kind, state, at: performance.now() });
    if (this.#recent.size > maxKept) {
      const [oldest = ''] = this.#recent.keys();
      this.#recent.delete(oldest);
    }
  }

  /** Forgets the states that have arrived. Call it about once a second. */
  forgetOld(): void {
    if (!this.#pubsub.isConnected || this.#repeating !== undefined) return;
    const tooOld = performance.now() - doubtMs;
    for (const [key, { at }] of this.#recent) {
      if (at > tooOld) return;
      this.#recent.delete(key);
    }
  }

  close(): void {
    clearTimeout(this.#repeating);
  }

  #repeat(): void {
    this.#repeating = undefined;
    for (const { kind, state } of this.#recent.values()) this.#signal(kind, state);
  }

  #signal<State extends RoomState>(kind: StateKind<State>, state: State): void {
    const body = kind.encode(state);
    for (const subject of [kind.subject(state.roomId), ...kind.otherSubjects(state)]) {
      this.#pubsub.signal(subject, body);
    }
  }
}
