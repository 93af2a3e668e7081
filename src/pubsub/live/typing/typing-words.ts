import { type Typist, typingExpiresInMs } from '../../../domain/typing.js';

/** What a user said last about typing. */
interface Word {
  readonly isTyping: boolean;
  saidAt: number;
  seq: number | null;
}

export type Said = Typist & { readonly isTyping: boolean };

/**
 * What users said last about typing in one room. The order in which they said it decides, whatever the order in which it
 * is heard: a beginning that was held up on its way yields to an end from behind it. Times by `performance.now()`.
 */
export class TypingWords {
  /** Those who type in the order in which they began. */
  readonly #words = new Map<number, Word>();

  /** Who types now, those first who began first. */
  get typists(): Typist[] {
    const now = performance.now();
    const typists: Typist[] = [];
    for (const [userId, { isTyping, saidAt, seq }] of this.#words) {
      if (isTyping && saidAt + typingExpiresInMs > now) typists.push({ userId, saidAt, seq });
    }
    return typists;
  }

  /** What each said last. */
  get said(): Said[] {
    return [...this.#words].map(([userId, word]) => ({ userId, ...word }));
  }

  /** When the next of those who type lapses; undefined where nobody does. */
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

  /** Whether they type now who did not before, or the other way round. What they said later than that stands. */
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

  /** That this was their last word turned out to be wrong. Whether they type no more. */
  retract({ userId, saidAt, seq }: Typist): boolean {
    const known = this.#words.get(userId);
    if (known === undefined || !known.isTyping || known.saidAt !== saidAt) return false;
    this.#words.set(userId, { isTyping: false, saidAt, seq });
    return true;
  }

  /** Takes back an end from in the future, such as that of a membership which has begun again. */
  pardon(userId: number): void {
    const known = this.#words.get(userId);
    if (known !== undefined) known.saidAt = Math.min(known.saidAt, performance.now());
  }

  /** Forgets what is so old that nothing from before it can be on its way any more. Whether somebody types no more. */
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
