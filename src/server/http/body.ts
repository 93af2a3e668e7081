import type { IncomingMessage, ServerResponse } from 'node:http';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { ChatError } from '../../domain/errors.js';
import { every } from '../../domain/every.js';
import { drained } from '../graphql/limits/pieces.js';
import type { PrintResult } from '../graphql/print.js';
import { ResultSender } from '../graphql/result-sender.js';
import type { Results } from '../graphql/subscribe.js';
import type { Refusal } from './answers.js';
import type { StreamFormat } from './stream-formats.js';

const decode = new TextDecoder('utf-8', { fatal: true });
const inflate = promisify(gunzip);

/** Resolves with the body as text, or with its refusal. Never holds more than `maxBytes`, compressed or decompressed. */
export async function readText(request: IncomingMessage, maxBytes: number): Promise<string | Refusal> {
  const encoding = request.headers['content-encoding']?.trim().toLowerCase() ?? 'identity';
  if (!['identity', 'gzip', 'x-gzip'].includes(encoding)) return otherEncoding;
  const body = await readBytes(request, maxBytes);
  if (body === null) return tooLarge(maxBytes);
  try {
    // The decoder removes a byte order mark.
    return decode.decode(encoding === 'identity' ? body : await inflate(body, { maxOutputLength: maxBytes }));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'ERR_BUFFER_TOO_LARGE' ? tooLarge(maxBytes) : notText;
  }
}

const otherEncoding: Refusal = {
  code: 'BAD_USER_INPUT',
  message: 'Content-Encoding may be gzip, or none',
  status: 415,
  headers: { 'accept-encoding': 'gzip' },
};

const notText: Refusal = { code: 'BAD_USER_INPUT', message: 'The body is not UTF-8, or not gzip though it says so' };

const tooLarge = (maxBytes: number): Refusal => ({
  code: 'BAD_USER_INPUT',
  message: `The body must have at most ${maxBytes} bytes`,
  status: 413,
});

async function readBytes(request: IncomingMessage, maxBytes: number): Promise<Buffer | null> {
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) return null;
  const chunks: Buffer[] = [];
  let bytes = 0;
  // Leaving the loop must not destroy the request, because the client still has to get the response.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBytes) {
      // The rest, so that the connection can be used again.
      request.resume();
      return null;
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

export interface StreamOptions {
  readonly format: StreamFormat;
  readonly print: PrintResult;
}

/**
 * Sends the results of a subscription as fast as the response drains; resolves at its end. Ends the subscription at once when
 * the response closes, even while it waits for the next event.
 */
export async function sendResults(
  results: Results,
  response: ServerResponse,
  { format, print }: StreamOptions,
): Promise<void> {
  const sender = new ResultSender(results, (result) => {
    if (response.destroyed) throw new ChatError('UNAVAILABLE', 'The stream is closed');
    return response.write(format.chunkOf(result, print)) ? undefined : drained(response);
  });
  response.once('close', () => void sender.return());
  response.writeHead(200, {
    'content-type': format.contentType,
    'cache-control': 'no-store, no-transform',
    // Otherwise nginx would buffer the events.
    'x-accel-buffering': 'no',
  });
  response.write(format.start);
  const pinging = every(format.pingMs, () => {
    if (!response.writableNeedDrain) response.write(format.ping);
  });
  try {
    await sender.next();
  } finally {
    await pinging.stop();
  }
  response.end(format.end);
}
