import type { ExecutionResult } from 'graphql';
import type { PrintResult } from '../graphql/print.js';
import type { StreamType } from './negotiation.js';

/** The format of a subscription's results in one HTTP response. */
export interface StreamFormat {
  readonly contentType: string;
  readonly start: string;
  readonly ping: string;
  readonly pingMs: number;
  /** Sent after the last result. A stream without it broke off, and there may be more results. */
  readonly end: string;
  /** Created once for all subscribers that get this result in this format. */
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

/** The distinct connections mode of graphql-sse. The comment at the start makes browsers notice that the response has begun. */
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
 * Apollo's multipart protocol for subscriptions. Clients process a part once they see the next boundary, so one follows each
 * part at once. Apollo iOS compares the parameter with exactly this text, without quotes.
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

/** The text around the JSON of a single answer. */
export interface Wrap {
  readonly before: string;
  readonly after: string;
}

export const noWrap: Wrap = { before: '', after: '' };

/** For a client that accepts nothing but SSE. */
export const sseWrap: Wrap = { before: `${sse.start}event: next\ndata: `, after: `\n\n${sse.end}` };
