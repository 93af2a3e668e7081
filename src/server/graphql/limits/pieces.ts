import type { ServerResponse } from 'node:http';

/** The maximum number of bytes that are written to a connection at a time. */
export const pieceBytes = 65_536;

/**
 * Ends a response with a body, which is written in pieces as fast as the peer reads, so that the body is in memory only once.
 * Its length must be in the headers. Resolves when the last piece is written, or the response is closed.
 * @param onTaken - called after each piece has left this process
 */
export async function endInPieces(response: ServerResponse, body: Buffer, onTaken?: () => void): Promise<void> {
  let at = 0;
  while (body.length - at > pieceBytes && !response.destroyed) {
    if (!response.write(body.subarray(at, at + pieceBytes))) await drained(response);
    at += pieceBytes;
    onTaken?.();
  }
  if (!response.destroyed) response.end(body.subarray(at));
}

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
