import type { ServerResponse } from 'node:http';
import type { TurnTaker } from '../../../domain/fair-turns.js';
import type { Slices } from '../../../domain/slices.js';
import type { Printed } from './large-answers.js';

/** The maximum number of bytes that are written to a connection at a time. */
export const pieceBytes = 65_536;

export interface PiecesOptions {
  readonly slices: Slices;
  /** On whose turns the pieces are written. */
  readonly user: TurnTaker;
  /** Called after each piece has left this process. */
  readonly onTaken: () => void;
}

/**
 * Ends a response with a body, which is written in pieces as fast as the peer reads, over several turns of the event loop.
 * Its length must be in the headers. Resolves when the last piece is written, or the response is closed.
 */
export async function endInPieces(
  response: ServerResponse,
  { pieces }: Printed,
  { slices, user, onTaken }: PiecesOptions,
): Promise<void> {
  const chunks = pieces.flatMap(toChunks);
  const last = chunks.pop();
  for (const chunk of chunks) {
    if (response.destroyed) return;
    if (!response.write(chunk)) await drained(response);
    onTaken();
    if (slices.isOver) await slices.next(user);
  }
  if (!response.destroyed) response.end(last);
}

/** Without a copy. */
const toChunks = (piece: Buffer): Buffer[] =>
  Array.from({ length: Math.ceil(piece.length / pieceBytes) }, (_, index) =>
    piece.subarray(index * pieceBytes, (index + 1) * pieceBytes),
  );

/** Resolves once the peer has read enough, or the response is closed. `SendProgress` ends a response without progress. */
export function drained(response: ServerResponse): Promise<void> {
  if (response.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      response.off('drain', done);
      response.off('close', done);
      resolve();
    };
    response.once('drain', done);
    response.once('close', done);
  });
}
