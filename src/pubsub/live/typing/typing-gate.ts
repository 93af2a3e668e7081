import { typingExpiresInMs, typingGapMs } from '../../../domain/typing.js';

export interface TypingGateOptions {
  /** Tells everybody what the user said, and when: at once, or when its turn came. Times by `performance.now()`. */
  readonly pass: (isTyping: boolean, saidAt: number, seq: number | null) => void;
  /** Nothing is known here any more. */
  readonly onIdle: () => void;
}

/**
 * What one user says about typing in one room. However often they begin and stop, everybody is told of one beginning a
 * second, and of a stop at once where there was a beginning. What they said first counts as first, also where it took
 * longer until it was let in.
 */
export class TypingGate {
  readonly #options: TypingGateOptions;
  #isTyping: boolean | undefined;
  #wanted = false;
  #wantedAt = Number.NEGATIVE_INFINITY;
  /** Where the room's log stood behind that, where it is known. */
  #wantedSeq: number | null = null;
  /** What was said before that is over. */
  #endedAt = Number.NEGATIVE_INFINITY;
  /** The position of the user's newest message of which this gate was told. */
  #endedSeq: number | null = null;
  #acceptedAt = Number.NEGATIVE_INFINITY;
  #startedAt = Number.NEGATIVE_INFINITY;
  #late: NodeJS.Timeout | undefined;
  #idle: NodeJS.Timeout | undefined;

  constructor(options: TypingGateOptions) {
    this.#options = options;
  }

  /** Whether the newest accepted signal is so young that another one is merged with it. */
  get isFresh(): boolean {
    return performance.now() - this.#acceptedAt < typingGapMs;
  }

  /** The user says so, and it is yet to be seen whether they may: a stop voids what they said before in any case. */
  hear(isTyping: boolean, saidAt: number): void {
    if (!isTyping) this.#endedAt = Math.max(this.#endedAt, saidAt);
    this.#waitForSilence();
  }

  /** The user may say what they said then. */
  submit(isTyping: boolean, saidAt = performance.now(), seq: number | null = null): void {
    if (!this.isFresh) this.#acceptedAt = performance.now();
    this.hear(isTyping, saidAt);
    if (saidAt < (isTyping ? this.#endedAt : this.#wantedAt)) return;
    this.#wanted = isTyping;
    // What a message from here did not end was said behind it.
    if (saidAt > this.#wantedAt) [this.#wantedAt, this.#wantedSeq] = [saidAt, seq ?? this.#endedSeq];
    if (isTyping) this.#start();
    else if (this.#isTyping !== false) this.#pass(false, saidAt);
  }

  /**
   * A stop that is told only where a beginning was.
   * @param seq - where the user's message stands that ends it, where it was one
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
    // Told when it may: who stopped begins again then, and who goes on lapses 6 s after this one and not sooner.
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
      // The loop was late, and a newer one came before it.
      clearTimeout(this.#late);
      this.#late = undefined;
    }
    this.#options.pass(isTyping, saidAt, saidAt === this.#wantedAt ? this.#wantedSeq : null);
  }

  /** By then whatever was told has lapsed. */
  #waitForSilence(): void {
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.#options.onIdle(), typingGapMs + typingExpiresInMs);
  }
}
