import type { IncomingMessage, ServerResponse } from 'node:http';

/** The whole body, or null where it is larger than allowed; no more than the limit is ever held. */
export async function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer | null> {
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) return null;
  const chunks: Buffer[] = [];
  let bytes = 0;
  // The request stays whole when the loop is left: its answer is still to be read.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBytes) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/**
 * Pulls the stream as fast as the response drains. A response that takes nothing for `timeoutMs` is cut, and one that
 * closes cancels the stream at once, also while it waits for the next chunk.
 */
export async function sendStream(
  stream: ReadableStream<Uint8Array>,
  response: ServerResponse,
  timeoutMs: number,
): Promise<void> {
  const reader = stream.getReader();
  const first = reader.read();
  // By the stream, not by the reader: the reader of yoga's stream puts a cancel behind the read that is waiting.
  const cancel = () => void first.then(() => stream.cancel()).catch(() => undefined);
  response.once('close', cancel);
  for (let chunk = await first; !chunk.done && !response.destroyed; chunk = await reader.read()) {
    if (!response.write(chunk.value)) await drained(response, timeoutMs);
  }
  // It may have closed before there was anybody to hear of it.
  if (response.destroyed) cancel();
  response.end();
}

/** Frees what feeds a stream that nobody is to read. yoga's has nothing to free it by until it is read from once. */
export async function discardStream(stream: ReadableStream<Uint8Array>): Promise<void> {
  await stream.getReader().read();
  await stream.cancel();
}

function drained(response: ServerResponse, timeoutMs: number): Promise<void> {
  if (response.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const slow = setTimeout(() => response.destroy(), timeoutMs);
    const done = () => {
      clearTimeout(slow);
      response.off('drain', done);
      response.off('close', done);
      resolve();
    };
    response.once('drain', done);
    response.once('close', done);
  });
}
