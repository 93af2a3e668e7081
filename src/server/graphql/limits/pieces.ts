import type { ServerResponse } from 'node:http';

/** What a connection is given at a time. */
export const pieceBytes = 65_536;

/**
 * Ends a response with a body of which the connection gets no more than its peer takes: the body is kept once, by whoever
 * has made it, and its length is in the head. Resolves when the last piece is handed over, or the response is closed.
 * @param onTaken - called whenever a piece has left this process
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

/** Resolves once the peer has taken what it was sent, or the response is closed. `SendProgress` ends one that takes nothing. */
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
