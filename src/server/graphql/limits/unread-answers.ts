import type { ServerResponse } from 'node:http';
import { setImmediate as endOfTurn } from 'node:timers/promises';
import { ChatError } from '../../../domain/errors.js';
import type { Slices } from '../../../domain/slices.js';
import { maxBytesPerUnit } from '../print.js';
import { type Printed, toPrinted } from './large-answers.js';
import { endInPieces, pieceBytes } from './pieces.js';

/** The receiver of an answer: a user's number, or the address of a client without a token. */
export type Recipient = number | string;

/** In multiples of the maximum answer size: with so many unread bytes, a recipient's new operations are refused. */
const fullAnswers = 2;
/** The limit for one recipient, which operations that were running already may reach. */
const maxAnswers = 4;
/** The limit for all recipients together. */
const maxAllAnswers = 32;

/** The bytes of an answer that its recipient has not read to the end count for so long after its connection has closed. */
const abandonedMs = 10_000;

interface Unread {
  readonly recipient: Recipient;
  readonly bytes: number;
  readonly cut: () => void;
  progressAt: number;
}

/**
 * Limits the memory of answers that wait for their recipients. A recipient with many unread bytes is refused before anything is
 * executed. If running operations exceed the limit, the connection that has been without progress for longest is closed.
 */
export class UnreadAnswers {
  readonly #maxAnswerBytes: number;
  readonly #slices: Slices;
  readonly #unread = new Set<Unread>();
  readonly #bytesOf = new Map<Recipient, number>();
  readonly #abandonedOf = new Map<Recipient, number>();
  #bytes = 0;

  constructor(maxAnswerBytes: number, slices: Slices) {
    this.#maxAnswerBytes = maxAnswerBytes;
    this.#slices = slices;
  }

  /** The unread bytes of all recipients. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether this recipient has to read answers before their next operation. */
  isFull(recipient: Recipient): boolean {
    const abandoned = this.#abandonedOf.get(recipient) ?? 0;
    return this.#bytesFor(recipient) + abandoned >= fullAnswers * this.#maxAnswerBytes;
  }

  /**
   * Ends the response with the answer. Resolves when all of it is written, or the response is closed. Not an async function,
   * which would keep a text in memory until then.
   */
  send(response: ServerResponse, recipient: Recipient, answer: string | Printed): Promise<void> {
    // The client has disconnected, so there will be no other `close` event.
    if (response.destroyed) return Promise.resolve();
    if (typeof answer !== 'string') return this.#sendLarge(response, recipient, answer);
    if (answer.length * maxBytesPerUnit <= pieceBytes) {
      response.end(answer);
      // The socket buffer of the operating system is full.
      if ((response.socket?.writableLength ?? 0) > 0) this.#keepUntilClosed(response, recipient, answer.length);
      return Promise.resolve();
    }
    // A large answer took long to create: let other work run first.
    return endOfTurn().then(() => this.#sendLarge(response, recipient, toPrinted(answer)));
  }

  #sendLarge(response: ServerResponse, recipient: Recipient, answer: Printed): Promise<void> {
    if (response.destroyed) return Promise.resolve();
    response.setHeader('content-length', answer.bytes);
    const unread = this.#keepUntilClosed(response, recipient, answer.bytes);
    const onTaken = () => {
      unread.progressAt = performance.now();
    };
    return endInPieces(response, answer, { slices: this.#slices, user: recipient, onTaken });
  }

  /**
   * Counts an unread answer until `forget`, or until it is cut to make room for others.
   * @param cut - closes its connection
   */
  keep(recipient: Recipient, bytes: number, cut: () => void): Unread {
    const unread = { recipient, bytes, cut, progressAt: performance.now() };
    this.#makeRoom(unread);
    this.#unread.add(unread);
    this.#count(recipient, bytes);
    return unread;
  }

  /** Call it when the answer is read or its connection has closed. Calling it twice is harmless. */
  forget(unread: Unread): void {
    if (this.#unread.delete(unread)) this.#count(unread.recipient, -unread.bytes);
  }

  /**
   * Call it instead of `forget` when the connection has closed before the answer was read: whoever asks for large answers and
   * reads none of them would otherwise get the next one at once.
   */
  abandon(unread: Unread): void {
    this.forget(unread);
    const { recipient, bytes } = unread;
    this.#countAbandoned(recipient, bytes);
    setTimeout(() => this.#countAbandoned(recipient, -bytes), abandonedMs).unref();
  }

  #countAbandoned(recipient: Recipient, bytes: number): void {
    const left = (this.#abandonedOf.get(recipient) ?? 0) + bytes;
    if (left > 0) this.#abandonedOf.set(recipient, left);
    else this.#abandonedOf.delete(recipient);
  }

  #keepUntilClosed(response: ServerResponse, recipient: Recipient, bytes: number): Unread {
    const unread = this.keep(recipient, bytes, () => response.destroy());
    response.once('close', () => (response.writableFinished ? this.forget(unread) : this.abandon(unread)));
    return unread;
  }

  #makeRoom({ recipient, bytes }: Unread): void {
    while (this.#bytesFor(recipient) + bytes > maxAnswers * this.#maxAnswerBytes && this.#cutSlowest(recipient));
    while (this.#bytes + bytes > maxAllAnswers * this.#maxAnswerBytes && this.#cutSlowest());
  }

  /** False if there is none. */
  #cutSlowest(recipient?: Recipient): boolean {
    let slowest: Unread | undefined;
    for (const unread of this.#unread) {
      if (recipient !== undefined && unread.recipient !== recipient) continue;
      if (slowest === undefined || unread.progressAt < slowest.progressAt) slowest = unread;
    }
    if (slowest === undefined) return false;
    this.forget(slowest);
    slowest.cut();
    return true;
  }

  #count(recipient: Recipient, bytes: number): void {
    this.#bytes += bytes;
    const left = this.#bytesFor(recipient) + bytes;
    if (left > 0) this.#bytesOf.set(recipient, left);
    else this.#bytesOf.delete(recipient);
  }

  #bytesFor(recipient: Recipient): number {
    return this.#bytesOf.get(recipient) ?? 0;
  }
}

export const tooMuchUnread = () =>
  new ChatError('RATE_LIMITED', 'Too many answers are unread: read them first', { retryAfterMs: 1_000 });
