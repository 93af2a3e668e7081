import type { DocumentNode } from 'graphql';
import { ChatError } from '../../../domain/errors.js';
import { documentWeight } from './document-weight.js';

/** A value in memory is several times its JSON. */
const bytesPerJsonChar = 8;

interface Kept {
  bytes: number;
  /** The number of subscriptions per document. An application has few documents, however many subscriptions. */
  readonly documents: Map<DocumentNode, number>;
}

/** Limits the memory for each user's subscriptions on this instance: their documents, each counted once, and variables. */
export class SubscriptionBudget {
  readonly #maxBytes: number;
  readonly #kept = new Map<number, Kept>();

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /**
   * Returns a function that gives the memory back; calling it twice is harmless.
   * @throws {ChatError} RATE_LIMITED if the user's subscriptions would take too much memory
   */
  take(userId: number, document: DocumentNode, variables: unknown): () => void {
    const kept = this.#kept.get(userId) ?? { bytes: 0, documents: new Map() };
    const holders = kept.documents.get(document) ?? 0;
    const variableBytes = JSON.stringify(variables).length * bytesPerJsonChar;
    const bytes = kept.bytes + variableBytes + (holders === 0 ? documentWeight(document) : 0);
    if (bytes > this.#maxBytes) throw tooMuch();
    kept.bytes = bytes;
    kept.documents.set(document, holders + 1);
    this.#kept.set(userId, kept);
    let isTaken = true;
    return () => {
      if (isTaken) this.#giveBack(userId, document, variableBytes);
      isTaken = false;
    };
  }

  #giveBack(userId: number, document: DocumentNode, variableBytes: number): void {
    const kept = this.#kept.get(userId);
    if (kept === undefined) return;
    kept.bytes -= variableBytes;
    const holders = (kept.documents.get(document) ?? 0) - 1;
    if (holders > 0) {
      kept.documents.set(document, holders);
      return;
    }
    kept.documents.delete(document);
    kept.bytes -= documentWeight(document);
    if (kept.documents.size === 0) this.#kept.delete(userId);
  }
}

const tooMuch = () =>
  new ChatError(
    'RATE_LIMITED',
    'The subscriptions of this user take too much memory: close some, or use shorter variables',
    {
      retryAfterMs: 1_000,
    },
  );
