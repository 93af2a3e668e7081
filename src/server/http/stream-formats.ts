import type { ExecutionResult } from 'graphql';
import type { PrintResult } from '../graphql/print.js';
import type { StreamType } from './negotiation.js';

/** How the results of a subscription are written into one HTTP answer. */
export interface StreamFormat {
  readonly contentType: string;
  readonly start: string;
  readonly ping: string;
  readonly pingMs: number;
  /** After the last result. A stream without it broke off, and there may be more. */
  readonly end: string;
  /** Made once for all subscribers who get this result in this format. */
  chunkOf(result: ExecutionResult, print: PrintResult): Buffer;
}

function createFormat(
  format: Omit<StreamFormat, 'chunkOf'> & { readonly before: string; readonly after: string },
): StreamFormat {
  const { before, after, ...rest } = format;
  const made = new WeakMap<ExecutionResult, Buffer>();
  return {
    ...rest,
    chunkOf: (result, print) => {
      let chunk = made.get(result);
      if (chunk === undefined) {
        chunk = Buffer.from(`${before}${print(result)}${after}`);
        made.set(result, chunk);
      }
      return chunk;
    },
  };
}

/** The distinct connections mode of graphql-sse. The first comment makes browsers see the answer begin. */
const sse = createFormat({
  contentType: 'text/event-stream; charset=utf-8',
  start: ':\n\n',
  ping: ':\n\n',
  pingMs: 12_000,
  before: 'event: next\ndata: ',
  after: '\n\n',
  end: 'event: complete\ndata:\n\n',
});

const part = '\r\nContent-Type: application/json\r\n\r\n';
const boundary = '\r\n--graphql';

/**
 * Apollo's multipart protocol for subscriptions. A part counts as read once the next boundary is seen, so each is followed by
 * one at once. Apollo iOS compares the parameter with this very text: without quotes.
 */
const multipart = createFormat({
  contentType: 'multipart/mixed;boundary=graphql;subscriptionSpec=1.0',
  start: boundary,
  ping: `${part}{}${boundary}`,
  pingMs: 5_000,
  before: `${part}{"payload":`,
  after: `}${boundary}`,
  end: '--\r\n',
});

export const streamFormats: Readonly<Record<StreamType, StreamFormat>> = { sse, multipart };

/** One answer for a client that takes nothing but SSE. */
export const toSseText = (json: string): string => `${sse.start}event: next\ndata: ${json}\n\n${sse.end}`;
