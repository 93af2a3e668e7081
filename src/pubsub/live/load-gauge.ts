import { every, type Loop } from '../../domain/every.js';
import type { Listener } from '../../domain/source.js';
import { CurrentStep, type LaterKind } from './intervals.js';

const tickMs = 50;
/** So few are woken in one tick that they do not make the process late again when the load ends. */
const maxWoken = 500;

/** Somebody whose next event is due one interval after `since`. */
interface Waiting {
  readonly kind: LaterKind;
  readonly since: number;
}

/** Returns how late entries are delivered, in milliseconds, given how late the event loop is. */
type MeasureEntries = (loopLateMs: number) => number;

/** The worst values since the last read of the metrics. */
interface Worst {
  loopMs: number;
  entriesMs: number;
}

/**
 * Measures whether this process keeps up, by two figures: how late its event loop is, and how late it delivers entries of the
 * logs. Everything that is delivered beside the entries waits for an interval here, which widens as the process falls
 * behind. One timer serves all who wait; each is woken within `tickMs` after its interval has ended, or has narrowed.
 */
export class LoadGauge {
  readonly #ticking: Loop;
  readonly #step = new CurrentStep();
  /** By the listener, so that there is one entry for each subscription at most. */
  readonly #waiting = new Map<Listener, Waiting>();
  readonly #worst: Worst = { loopMs: 0, entriesMs: 0 };
  #measureEntries: MeasureEntries = () => 0;
  #entriesLateMs = 0;
  #tickedAt = performance.now();

  constructor() {
    this.#ticking = every(tickMs, () => this.#tick());
  }

  /** How late entries are delivered: about the age of the oldest one that waits for this process, and not for a slow peer. */
  get entriesLateMs(): number {
    return this.#entriesLateMs;
  }

  /** The minimum time between two deliveries of this kind, at the moment. */
  intervalMs(kind: LaterKind): number {
    return this.#step.intervalMs(kind);
  }

  measureEntries(measure: MeasureEntries): void {
    this.#measureEntries = measure;
  }

  /**
   * Whether an interval has passed since then. If not, wakes the listener once it has; each listener waits for one thing at a
   * time. Call `forget` when the listener ends.
   */
  isDue(kind: LaterKind, since: number, listener: Listener): boolean {
    if (since + this.intervalMs(kind) <= performance.now()) return true;
    this.#waiting.set(listener, { kind, since });
    return false;
  }

  forget(listener: Listener): void {
    this.#waiting.delete(listener);
  }

  /** Returns the worst value since the last call. */
  takeWorst(what: keyof Worst): number {
    const worst = this.#worst[what];
    this.#worst[what] = 0;
    return worst;
  }

  close(): void {
    void this.#ticking.stop();
  }

  #tick(): void {
    const now = performance.now();
    const loopLateMs = Math.max(0, now - this.#tickedAt - tickMs);
    this.#tickedAt = now;
    this.#entriesLateMs = this.#measureEntries(loopLateMs);
    this.#worst.loopMs = Math.max(this.#worst.loopMs, loopLateMs);
    this.#worst.entriesMs = Math.max(this.#worst.entriesMs, this.#entriesLateMs);
    this.#step.note(Math.max(loopLateMs, this.#entriesLateMs), now);
    this.#wakeDue(now);
  }

  #wakeDue(now: number): void {
    let woken = 0;
    for (const [listener, { kind, since }] of this.#waiting) {
      if (since + this.intervalMs(kind) > now) continue;
      this.#waiting.delete(listener);
      listener.wake();
      woken += 1;
      if (woken === maxWoken) return;
    }
  }
}
