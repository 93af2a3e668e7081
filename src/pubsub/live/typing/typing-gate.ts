import { typingExpiresInMs, typingGapMs } from '../../../domain/typing.js';

export interface TypingGateOptions {
  /** Publishes a signal and the time at which the user gave it. Times are by `performance.now()`. */
  readonly pass: (isTyping: boolean, saidAt: number, seq: number | null) => void;
  /** Called when this gate has no state any more and can be dropped. */
  readonly onIdle: () => void;
}

/**
 * Limits the typing signals of one user in one room. However often the user begins and stops, at most one beginning a second
 * is published, and a stop is published at once if there was a beginning. Signals are ordered by the time at which the
 * user gave them, even if the permission check of an earlier one took longer.
 */
export class TypingGate {
  readonly #options: TypingGateOptions;
  #isTyping: boolean | undefined;
  #wanted = false;
  #wantedAt = Number.NEGATIVE_INFINITY;
  /** The head of the room's log at that time, if known. */
  #wantedSeq: number | null = null;
  /** Beginnings before this time are void. */
  #endedAt = Number.NEGATIVE_INFINITY;
  /** The position of the user's newest known message. */
  #endedSeq: number | null = null;
  #acceptedAt = Number.NEGATIVE_INFINITY;
  #startedAt = Number.NEGATIVE_INFINITY;
  #late: NodeJS.Timeout | undefined;
  #idle: NodeJS.Timeout | undefined;

  constructor(options: TypingGateOptions) {
    this.#options = options;
  }

  /** Whether the last accepted signal is so recent that the next one is merged with it. */
  get isFresh(): boolean {
    return performance.now() - this.#acceptedAt < typingGapMs;
  }

  /** A signal whose permission is not checked yet. A stop voids earlier beginnings in any case. */
  hear(isTyping: boolean, saidAt: number): void {
    if (!isTyping) this.#endedAt = Math.max(this.#endedAt, saidAt);
    this.#waitForSilence();
  }

  /** A signal that is permitted. */
  submit(isTyping: boolean, saidAt = performance.now(), seq: number | null = null): void {
    if (!this.isFresh) this.#acceptedAt = performance.now();
    this.hear(isTyping, saidAt);
    if (saidAt < (isTyping ? this.#endedAt : this.#wantedAt)) return;
    this.#wanted = isTyping;
    // The user's last message did not end this signal, so the signal came after it.
    if (saidAt > this.#wantedAt) [this.#wantedAt, this.#wantedSeq] = [saidAt, seq ?? this.#endedSeq];
    if (isTyping) this.#start();
    else if (this.#isTyping !== false) this.#pass(false, saidAt);
  }

  /**
   * Ends typing; published only if a beginning was.
   * @param seq - the position of the message that ended it, if a message did
   */
  end(seq: number | null = null): void {
    this.#wanted = false;
    this.#endedSeq = seq ?? this.#endedSeq;
    this.#endedAt = performance.now();
    if (this.#isTyping === true) this.#pass(false, this.#endedAt);
  }

  close(): void {
    clearTimeout(this.#late);
    clearTimeout(this.#idle);
  }

  #start(): void {
    const waitMs = this.#startedAt + typingGapMs - performance.now();
    if (waitMs <= 0) this.#pass(true, this.#wantedAt);
    // Published as soon as allowed: it restarts after a stop, and else it renews the 6 s from this signal.
    else this.#late ??= setTimeout(() => this.#startLate(), waitMs);
  }

  #startLate(): void {
    this.#late = undefined;
    if (this.#wanted) this.#pass(true, this.#wantedAt);
  }

  #pass(isTyping: boolean, saidAt: number): void {
    this.#isTyping = isTyping;
    if (isTyping) {
      this.#startedAt = performance.now();
      // A newer signal may be published before the late timer fires.
      clearTimeout(this.#late);
      this.#late = undefined;
    }
    this.#options.pass(isTyping, saidAt, saidAt === this.#wantedAt ? this.#wantedSeq : null);
  }

  /** After this time every published signal has expired. */
  #waitForSilence(): void {
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.#options.onIdle(), typingGapMs + typingExpiresInMs);
  }
}
