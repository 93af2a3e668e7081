import { ChatError } from './errors.js';
import { every, type Loop } from './every.js';
import { FairTurns, type TurnTaker } from './fair-turns.js';

const tickMs = 100;
/** From this lateness of entries on, fewer sends begin, and nearly none from `stopMs` on. */
const slowMs = 250;
const stopMs = 1_000;
/** The gate is open again after this time without waiting sends and with entries that are not late. */
const calmMs = 1_000;
/** The change of the rate with each tick, by which it follows what the process delivers. */
const growth = 1.05;
const decline = 0.9;
/**
 * A tick counts for so much time at most where it changes the rate. One that comes later is still one measurement, and the
 * process may have been suspended: that says nothing about what it can deliver.
 */
const maxTickMs = 500;
/** Some sends begin in any case: a wrong measure must not end all conversations. */
const minPerSecond = 1;
/** The part of a second's sends that may begin in one tick. */
const burstSeconds = 0.2;
/** 16 MB of the longest texts. */
const maxWaiting = 1_000;
const maxWaitingPerUser = 20;
const maxWaitMs = 1_000;
/** A refused client is asked to wait for a time between the two, so that not all come back at once. */
const retryMs = { from: 1_000, to: 4_000 };

/**
 * Slows down sends while entries are delivered late, so that acknowledgements and delivery never get far apart. Edits and other
 * changes that bring entries count as sends. While entries are in time, the gate is open and costs nothing. Otherwise sends
 * wait, users take turns, and they begin at the rate at which entries are delivered in time: it is that of the last second at
 * first, less in proportion to the lateness, is corrected while the lateness stays, and grows only as far as sends ask for
 * more. None begins while the oldest entry is not delivered: what has begun already is too much. A send that has waited for
 * 1 s is refused, and so is one that finds 1,000 others waiting, or 20 of its user.
 */
export class SendGate {
  readonly #latenessMs: () => number;
  readonly #turns = new FairTurns({
    // Finite, so that nobody overtakes those who wait.
    atOnce: maxWaiting,
    atOncePerUser: maxWaitingPerUser,
    maxWaitingPerUser,
    maxWaitMs,
    refuse: busy,
  });
  readonly #ticking: Loop;
  #tickedAt = performance.now();
  #lateMs = 0;
  /** How many began since the last tick. */
  #begun = 0;
  /** How many began a second, while the gate was open. */
  #usual = 0;
  /** How many may begin a second if nothing is late; undefined while the gate is open. */
  #perSecond: number | undefined;
  #tokens = 0;
  #calmFor = 0;
  #waiting = 0;
  #slowed = 0;
  #refused = 0;

  constructor(latenessMs: () => number) {
    this.#latenessMs = latenessMs;
    this.#ticking = every(tickMs, () => this.#tick());
  }

  /** How many sends are waiting. */
  get waiting(): number {
    return this.#waiting;
  }

  /** How many sends have come to a closed gate, refused ones included. */
  get slowed(): number {
    return this.#slowed;
  }

  get refused(): number {
    return this.#refused;
  }

  /** Resolves when the send may begin; sends of one user in the order of the calls. @throws {ChatError} RATE_LIMITED */
  async enter(user: TurnTaker): Promise<void> {
    if (this.#perSecond === undefined && this.#waiting === 0) {
      this.#begun += 1;
      return;
    }
    this.#slowed += 1;
    try {
      await this.#wait(user);
    } catch (error) {
      this.#refused += 1;
      throw error;
    }
  }

  close(): void {
    void this.#ticking.stop();
  }

  async #wait(user: TurnTaker): Promise<void> {
    if (this.#waiting >= maxWaiting) throw busy();
    this.#waiting += 1;
    try {
      const leave = await this.#turns.enter(user, { claim: this.#claim });
      leave();
    } finally {
      this.#waiting -= 1;
    }
  }

  readonly #claim = (): boolean => {
    if (this.#perSecond !== undefined && this.#tokens < 1) return false;
    this.#tokens -= 1;
    this.#begun += 1;
    return true;
  };

  #tick(): void {
    const now = performance.now();
    const passedMs = now - this.#tickedAt;
    const seconds = Math.min(passedMs, maxTickMs) / 1_000;
    this.#tickedAt = now;
    const lateMs = this.#latenessMs();
    const isStuck = lateMs >= slowMs && lateMs - this.#lateMs > passedMs / 2;
    const isScarce = this.#waiting > 0 && this.#lateMs < slowMs;
    this.#lateMs = lateMs;
    const perSecond = (this.#begun * 1_000) / passedMs;
    this.#begun = 0;
    if (this.#perSecond === undefined) {
      this.#usual += (perSecond - this.#usual) * (1 - Math.exp(-seconds));
      if (lateMs < slowMs) return;
      this.#perSecond = this.#usual;
      this.#tokens = 0;
      this.#calmFor = 0;
    }
    this.#perSecond = corrected(this.#perSecond, { lateMs, seconds, isScarce });
    const allowed = Math.max(minPerSecond, isStuck ? 0 : this.#perSecond * shareAt(lateMs));
    this.#tokens = Math.min(this.#tokens + (allowed * passedMs) / 1_000, Math.max(1, allowed * burstSeconds));
    this.#turns.call();
    this.#openIfCalm(lateMs, passedMs);
  }

  #openIfCalm(lateMs: number, passedMs: number): void {
    this.#calmFor = lateMs < slowMs && this.#waiting === 0 ? this.#calmFor + passedMs : 0;
    if (this.#calmFor >= calmMs) this.#perSecond = undefined;
  }
}

/** The part of the rate that may begin at this lateness. */
const shareAt = (lateMs: number): number => Math.min(1, Math.max(0, (stopMs - lateMs) / (stopMs - slowMs)));

interface Tick {
  readonly lateMs: number;
  readonly seconds: number;
  /** Whether sends still wait after a tick at the full rate: only then is it worth to find out whether more is possible. */
  readonly isScarce: boolean;
}

/** The rate for the next tick: what is in time allows more, and what is too late less. */
function corrected(perSecond: number, { lateMs, seconds, isScarce }: Tick): number {
  const ticks = (seconds * 1_000) / tickMs;
  if (lateMs < slowMs) return Math.max(minPerSecond, isScarce ? perSecond * growth ** ticks : perSecond);
  return lateMs < stopMs ? perSecond : Math.max(minPerSecond, perSecond * decline ** ticks);
}

const busy = (): ChatError =>
  new ChatError('RATE_LIMITED', 'Messages are delivered late at the moment: send it again a little later', {
    retryAfterMs: Math.round(retryMs.from + Math.random() * (retryMs.to - retryMs.from)),
  });
