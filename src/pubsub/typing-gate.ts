import { typingExpiresInMs } from '../domain/typing.js';

export interface TypingGateOptions {
  /** Tells everybody what the user said so long ago: at once, or when its turn came. */
  readonly pass: (isTyping: boolean, ageMs: number) => void;
  /** Nothing is known here any more. */
  readonly onIdle: () => void;
}

/** A user's signals of typing in one room are accepted at most once in this time; the newest of the others counts. */
const minGapMs = 1_000;

/**
 * What one user says about typing in one room. However often they begin and stop, everybody is told of one beginning a
 * second, and of a stop at once where there was a beginning.
 */
export class TypingGate {
  readonly #options: TypingGateOptions;
  #isTyping: boolean | undefined;
  #wanted = false;
  #wantedAt = 0;
  #acceptedAt = Number.NEGATIVE_INFINITY;
  #startedAt = Number.NEGATIVE_INFINITY;
  #late: NodeJS.Timeout | undefined;
  #idle: NodeJS.Timeout | undefined;

  constructor(options: TypingGateOptions) {
    this.#options = options;
  }

  /** Whether the newest accepted signal is so young that another one is merged with it. */
  get isFresh(): boolean {
    return performance.now() - this.#acceptedAt < minGapMs;
  }

  /** What everybody was told last. */
  get isTyping(): boolean {
    return this.#isTyping === true;
  }

  submit(isTyping: boolean): void {
    this.#wanted = isTyping;
    this.#wantedAt = performance.now();
    if (!this.isFresh) this.#acceptedAt = performance.now();
    if (isTyping) this.#start();
    else if (this.#isTyping !== false) this.#pass(false);
    this.#waitForSilence();
  }

  /** A stop that is told only where a beginning was. */
  end(): void {
    this.#wanted = false;
    if (this.#isTyping === true) this.#pass(false);
  }

  close(): void {
    clearTimeout(this.#late);
    clearTimeout(this.#idle);
  }

  #start(): void {
    const waitMs = this.#startedAt + minGapMs - performance.now();
    if (waitMs <= 0) this.#pass(true);
    // Told when it may: who stopped begins again then, and who goes on lapses 6 s after this one and not sooner.
    else this.#late ??= setTimeout(() => this.#startLate(), waitMs);
  }

  #startLate(): void {
    this.#late = undefined;
    if (this.#wanted) this.#pass(true, performance.now() - this.#wantedAt);
  }

  #pass(isTyping: boolean, ageMs = 0): void {
    this.#isTyping = isTyping;
    if (isTyping) {
      this.#startedAt = performance.now();
      // The loop was late, and a newer one came before it.
      clearTimeout(this.#late);
      this.#late = undefined;
    }
    this.#options.pass(isTyping, ageMs);
  }

  /** By then whatever was told has lapsed. */
  #waitForSilence(): void {
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.#options.onIdle(), minGapMs + typingExpiresInMs);
  }
}
