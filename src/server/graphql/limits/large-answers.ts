import type { ExecutionResult } from 'graphql';
import type { TurnTaker } from '../../../domain/fair-turns.js';
import type { Slices } from '../../../domain/slices.js';
import { type MaskError, toFormatted } from '../errors.js';
import { jsonPieces } from '../json-pieces.js';
import { tooLargeAnswer } from '../print.js';

/** An answer in UTF-8, in pieces that are sent one after the other. */
export interface Printed {
  readonly pieces: readonly Buffer[];
  readonly bytes: number;
}

/** The minimum number of UTF-16 units of a piece; the longest text of a message may follow. */
const pieceLength = 16_384;

export const toPrinted = (...texts: readonly (string | Buffer)[]): Printed => {
  const pieces = texts.map((text) => (typeof text === 'string' ? Buffer.from(text) : text));
  return { pieces, bytes: pieces.reduce((sum, { length }) => sum + length, 0) };
};

export interface LargeAnswersOptions {
  readonly slices: Slices;
  readonly maskError: MaskError;
  readonly maxAnswerBytes: number;
}

/**
 * Prints large answers over several turns of the event loop, so that what others do goes on in between: a megabyte takes
 * milliseconds. Only the bytes are kept, not also a text of twice the size.
 */
export class LargeAnswers {
  readonly #options: LargeAnswersOptions;

  constructor(options: LargeAnswersOptions) {
    this.#options = options;
  }

  /** Prints the result with masked errors, or an error if it has too many bytes. */
  async print(user: TurnTaker, { errors, ...rest }: ExecutionResult): Promise<Printed> {
    const { slices, maskError, maxAnswerBytes } = this.#options;
    const masked = errors === undefined ? {} : { errors: errors.map((error) => toFormatted(maskError(error))) };
    const pieces: Buffer[] = [];
    let bytes = 0;
    for (const text of jsonPieces({ ...masked, ...rest }, pieceLength)) {
      const piece = Buffer.from(text);
      bytes += piece.length;
      if (bytes > maxAnswerBytes) return toPrinted(tooLargeAnswer(maxAnswerBytes));
      pieces.push(piece);
      if (slices.isOver) await slices.next(user);
    }
    return { pieces, bytes };
  }
}
