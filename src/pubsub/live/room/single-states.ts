import type { LogPosition } from '../../../domain/room-log.js';
import { maxStatesKept } from './latest-states.js';
import type { RoomState } from './room-states.js';
import { type StateNews, StateOutlet } from './state-outlet.js';

/** The shortest time between two looks for states that are due. */
const tickMs = 50;

/**
 * An event for each state, at most one in the gap for each key: the first at once, later ones at the end of the key's gap,
 * and then only the newest.
 */
export class SingleStates<State extends RoomState = RoomState> extends StateOutlet<State> {
  /** When each key was last shown, the oldest first; those within the gap, at most `maxStatesKept`. */
  readonly #shownAt = new Map<string | number, number>();

  override next(version: number, { seq, epoch }: LogPosition): StateNews | undefined {
    const latest = this.shown.after(version);
    if (latest === undefined || latest.seq > seq) return undefined;
    if (latest.event?.seq !== seq || latest.event.epoch !== epoch) {
      latest.event = this.kind.event(latest.state, { seq, epoch }, latest.before);
    }
    return latest as typeof latest & StateNews;
  }

  protected override admit(key: string | number, state: State): void {
    const now = performance.now();
    this.#forgetBefore(now - this.gapMs());
    if (this.#shownAt.has(key)) {
      this.waiting.set(key, state);
      this.#releaseNext(now);
    } else this.#show(key, state, now);
  }

  protected override release(): void {
    const now = performance.now();
    this.#forgetBefore(now - this.gapMs());
    for (const [key, state] of this.waiting) {
      if (this.#shownAt.has(key)) continue;
      this.waiting.delete(key);
      this.#show(key, state, now);
    }
    this.#releaseNext(now);
  }

  protected override reset(): void {
    this.#shownAt.clear();
  }

  #show(key: string | number, state: State, now: number): void {
    this.shown.accept(state);
    // Beyond that number, keys do not wait.
    if (this.#shownAt.size < maxStatesKept) this.#shownAt.set(key, now);
    this.wake();
  }

  #forgetBefore(time: number): void {
    for (const [key, at] of this.#shownAt) {
      if (at > time) return;
      this.#shownAt.delete(key);
    }
  }

  #releaseNext(now: number): void {
    const [oldest] = this.#shownAt.values();
    if (this.waiting.size > 0 && oldest !== undefined) this.releaseIn(Math.max(oldest + this.gapMs() - now, tickMs));
  }
}
