import { type Typist, typingExpiresInMs } from '../../../domain/typing.js';

/** The last signal of a user. */
interface Word {
  readonly isTyping: boolean;
  saidAt: number;
  seq: number | null;
}

export type Said = Typist & { readonly isTyping: boolean };

/**
 * The last typing signal of each user in one room. Signals are ordered by the time at which they were given, not by their
 * arrival: a delayed beginning does not override a later end. Times are by `performance.now()`.
 */
export class TypingWords {
  /** By user; users who are typing are in the order in which they began. */
  readonly #words = new Map<number, Word>();

  /** The users who are typing now, in the order in which they began. */
  get typists(): Typist[] {
    const now = performance.now();
    const typists: Typist[] = [];
    for (const [userId, { isTyping, saidAt, seq }] of this.#words) {
      if (isTyping && saidAt + typingExpiresInMs > now) typists.push({ userId, saidAt, seq });
    }
    return typists;
  }

  /** The last signal of each user. */
  get said(): Said[] {
    return [...this.#words].map(([userId, word]) => ({ userId, ...word }));
  }

  /** When the next user's signal expires; undefined if nobody is typing. */
  get lapsesAt(): number | undefined {
    let first: number | undefined;
    for (const { isTyping, saidAt } of this.#words.values()) {
      if (isTyping && (first === undefined || saidAt < first)) first = saidAt;
    }
    return first === undefined ? undefined : first + typingExpiresInMs;
  }

  get size(): number {
    return this.#words.size;
  }

  /** Applies a signal unless a newer one is known. Returns whether the user began or stopped typing. */
  note({ userId, isTyping, saidAt, seq }: Said): boolean {
    const known = this.#words.get(userId);
    if (known !== undefined && saidAt <= known.saidAt) return false;
    const wasTyping = known?.isTyping === true;
    if (known !== undefined && wasTyping && isTyping) {
      Object.assign(known, { saidAt, seq });
      return false;
    }
    this.#words.delete(userId);
    this.#words.set(userId, { isTyping, saidAt, seq });
    return wasTyping !== isTyping;
  }

  /** Ends typing if this is still the user's last signal: the database has shown that it is void. Returns whether it did. */
  retract({ userId, saidAt, seq }: Typist): boolean {
    const known = this.#words.get(userId);
    if (known === undefined || !known.isTyping || known.saidAt !== saidAt) return false;
    this.#words.set(userId, { isTyping: false, saidAt, seq });
    return true;
  }

  /** Moves an end with a future time to now, because the user has joined the room again. */
  pardon(userId: number): void {
    const known = this.#words.get(userId);
    if (known !== undefined) known.saidAt = Math.min(known.saidAt, performance.now());
  }

  /** Drops expired signals: no earlier one can arrive any more. Returns whether one of the users was typing. */
  dropLapsed(): boolean {
    const now = performance.now();
    let isChange = false;
    for (const [userId, { isTyping, saidAt }] of this.#words) {
      if (saidAt + typingExpiresInMs > now) continue;
      this.#words.delete(userId);
      isChange ||= isTyping;
    }
    return isChange;
  }
}
