import type { ServerResponse } from 'node:http';
import { setImmediate as endOfTurn } from 'node:timers/promises';
import { ChatError } from '../../../domain/errors.js';
import { maxBytesPerUnit } from '../print.js';
import { endInPieces, pieceBytes } from './pieces.js';

/** Whose answer it is: a user, or the address of somebody without a token. */
export type Reader = number | string;

/** Of the largest answer that there is. Each reader may leave so many unread before nothing more is done for them, … */
const fullAnswers = 2;
/** … and so many where more were under way already; … */
const maxAnswers = 4;
/** … and all of them together. */
const maxAllAnswers = 32;

interface Unread {
  readonly reader: Reader;
  readonly bytes: number;
  readonly cut: () => void;
  progressAt: number;
}

/**
 * Bounds the memory of answers that wait for their readers. Who leaves much unread is refused before anything is executed; and
 * where what is under way already is more than there is room for, the connection is cut whose reader has stood still longest.
 */
export class UnreadAnswers {
  readonly #maxAnswerBytes: number;
  readonly #unread = new Set<Unread>();
  readonly #bytesOf = new Map<Reader, number>();
  #bytes = 0;

  constructor(maxAnswerBytes: number) {
    this.#maxAnswerBytes = maxAnswerBytes;
  }

  /** What is held for all readers. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether this one has to read before they ask for more. */
  isFull(reader: Reader): boolean {
    return this.#bytesFor(reader) >= fullAnswers * this.#maxAnswerBytes;
  }

  /**
   * Ends the response with the text. Resolves when the last of it is handed over, or the response is closed. An async function
   * would hold the text all the while.
   */
  send(response: ServerResponse, reader: Reader, text: string): Promise<void> {
    // Its client went while this was made: it is not closed once more.
    if (response.destroyed) return Promise.resolve();
    if (text.length * maxBytesPerUnit <= pieceBytes) {
      response.end(text);
      // This system's own buffer for the connection is full.
      if ((response.socket?.writableLength ?? 0) > 0) this.#keepUntilClosed(response, reader, text.length);
      return Promise.resolve();
    }
    // What is large took its time to be made: others are served before more is done with it.
    return endOfTurn().then(() => this.#sendLarge(response, reader, text));
  }

  #sendLarge(response: ServerResponse, reader: Reader, text: string): Promise<void> {
    if (response.destroyed) return Promise.resolve();
    const body = Buffer.from(text);
    response.setHeader('content-length', body.length);
    const unread = this.#keepUntilClosed(response, reader, body.length);
    return endInPieces(response, body, () => {
      unread.progressAt = performance.now();
    });
  }

  /**
   * Counts what waits for its reader until it is forgotten, or cut to make room for another.
   * @param cut - ends the connection on which it waits
   */
  keep(reader: Reader, bytes: number, cut: () => void): Unread {
    const unread = { reader, bytes, cut, progressAt: performance.now() };
    this.#makeRoom(unread);
    this.#unread.add(unread);
    this.#count(reader, bytes);
    return unread;
  }

  /** It is read, or its connection is gone. Twice does nothing. */
  forget(unread: Unread): void {
    if (this.#unread.delete(unread)) this.#count(unread.reader, -unread.bytes);
  }

  #keepUntilClosed(response: ServerResponse, reader: Reader, bytes: number): Unread {
    const unread = this.keep(reader, bytes, () => response.destroy());
    response.once('close', () => this.forget(unread));
    return unread;
  }

  #makeRoom({ reader, bytes }: Unread): void {
    while (this.#bytesFor(reader) + bytes > maxAnswers * this.#maxAnswerBytes && this.#cutSlowest(reader));
    while (this.#bytes + bytes > maxAllAnswers * this.#maxAnswerBytes && this.#cutSlowest());
  }

  /** False where there is none. */
  #cutSlowest(reader?: Reader): boolean {
    let slowest: Unread | undefined;
    for (const unread of this.#unread) {
      if (reader !== undefined && unread.reader !== reader) continue;
      if (slowest === undefined || unread.progressAt < slowest.progressAt) slowest = unread;
    }
    if (slowest === undefined) return false;
    this.forget(slowest);
    slowest.cut();
    return true;
  }

  #count(reader: Reader, bytes: number): void {
    this.#bytes += bytes;
    const left = this.#bytesFor(reader) + bytes;
    if (left > 0) this.#bytesOf.set(reader, left);
    else this.#bytesOf.delete(reader);
  }

  #bytesFor(reader: Reader): number {
    return this.#bytesOf.get(reader) ?? 0;
  }
}

export const tooMuchUnread = () =>
  new ChatError('RATE_LIMITED', 'Too many answers wait to be read: read them first', { retryAfterMs: 1_000 });
