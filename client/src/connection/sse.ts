import type { Environment, Lock } from '../environment/environment.js';
import { asFairwayError, FairwayError, toFairwayError } from '../errors.js';
import type { Line, Sink } from './line.js';
import { fetchFrom } from './request.js';
import type { Tokens } from './token.js';

/** A browser has six connections to a server for all its tabs: two are left for requests. */
const maxStreams = 4;
/** Without a stream, the state is read this often. */
const pollMs = 5_000;
/** The server sends a sign of life every 12 s. */
const silenceMs = 30_000;

interface HttpLineOptions {
  readonly environment: Environment;
  readonly url: string;
  readonly tokens: Tokens;
  /** Called if the server cannot be reached any more. */
  onLost(): void;
}

/**
 * A line for networks that let no WebSocket through: each subscription is an HTTP stream of its own. Where no stream can be had,
 * because other tabs have them all or the platform's `fetch` cannot stream, a subscription ends with NO_ANSWER and the time
 * after which to read the state again.
 */
export function createHttpLine(options: HttpLineOptions): Line & { close(): void } {
  const { environment } = options;
  const streams = new Set<AbortController>();
  let canStream = true;
  const run = async (abort: AbortController, body: string, sink: Sink<unknown>) => {
    const slot = canStream ? await acquireSlot(environment, options.url) : undefined;
    try {
      if (slot === undefined || abort.signal.aborted) throw new FairwayError('NO_ANSWER', 'No stream is free', pollMs);
      const isOver = await readStream(options, { body, abort, sink });
      if (isOver) return undefined;
      throw new FairwayError('UNAVAILABLE', 'The stream ended');
    } catch (error) {
      if (error instanceof CannotStream) canStream = false;
      const failure = asFairwayError(error);
      // The user has as many sockets and streams as they may have.
      const isRefused = error instanceof CannotStream || failure.code === 'RATE_LIMITED';
      return isRefused ? new FairwayError('NO_ANSWER', failure.message, pollMs) : failure;
    } finally {
      slot?.release();
    }
  };
  return {
    get transport() {
      return canStream ? ('sse' as const) : ('polling' as const);
    },
    subscribe: (document, variables, sink) => {
      const abort = new AbortController();
      streams.add(abort);
      const listen = async () => {
        const error = await run(abort, JSON.stringify({ query: String(document), variables }), sink as Sink<unknown>);
        streams.delete(abort);
        if (abort.signal.aborted) return;
        if (error?.code === 'OFFLINE') options.onLost();
        sink.end(error);
      };
      listen().catch(() => undefined);
      return () => abort.abort();
    },
    close: () => {
      for (const abort of streams) abort.abort();
    },
  };
}

/** `fetch` does not hand out the body before its end. */
class CannotStream extends Error {}

async function acquireSlot(environment: Environment, url: string): Promise<Lock | undefined> {
  for (let slot = 1; slot <= maxStreams; slot += 1) {
    const lock = await environment.lock(`fairway:${url}:stream:${slot}`, { ifAvailable: true });
    if (lock !== undefined) return lock;
  }
  return undefined;
}

interface StreamOptions {
  readonly body: string;
  readonly abort: AbortController;
  readonly sink: Sink<unknown>;
}

/** Reads one stream to its end; returns whether the server has completed the operation. */
async function readStream({ environment, url, tokens }: HttpLineOptions, { body, abort, sink }: StreamOptions) {
  const token = await tokens.getForUser();
  let cancel = () => {};
  let isSilent = false;
  const listen = () => {
    cancel();
    cancel = environment.setTimer(() => {
      isSilent = true;
      abortQuietly();
    }, silenceMs);
  };
  const inner = new AbortController();
  const abortQuietly = () => inner.abort();
  abort.signal.addEventListener('abort', abortQuietly);
  try {
    listen();
    const response = await fetchFrom(environment, url, token, 'text/event-stream', { body, signal: inner.signal });
    if (!response.headers.get('content-type')?.startsWith('text/event-stream')) throw await readRefusal(response);
    const reader = response.body?.getReader?.();
    if (reader === undefined) throw new CannotStream();
    tokens.accept();
    const parse = createEventParser((event, data) => {
      if (event !== 'next' || abort.signal.aborted) return;
      const result = JSON.parse(data) as { data?: unknown; errors?: unknown };
      if (result.data == null || result.errors !== undefined) throw toFairwayError(result.errors);
      sink.next(result.data);
    });
    const decoder = new TextDecoder();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return false;
      listen();
      if (parse(decoder.decode(value, { stream: true }))) return true;
    }
  } catch (error) {
    if (error instanceof FairwayError && error.code === 'UNAUTHENTICATED') tokens.refuse(token);
    if (error instanceof FairwayError || error instanceof CannotStream) throw error;
    throw new FairwayError('OFFLINE', isSilent ? 'The stream is silent' : String(error));
  } finally {
    cancel();
    abortQuietly();
    abort.signal.removeEventListener('abort', abortQuietly);
  }
}

async function readRefusal(response: Response): Promise<FairwayError> {
  try {
    return toFairwayError((JSON.parse(await response.text()) as { errors?: unknown }).errors);
  } catch {
    return new FairwayError('OFFLINE', `The answer ${response.status} is none of the server`);
  }
}

/**
 * Parses server-sent events from pieces of any size.
 * @param onEvent - called for each event that has data
 * @returns a function that takes the next piece, and returns whether the event `complete` has come
 */
export function createEventParser(onEvent: (event: string, data: string) => void): (piece: string) => boolean {
  let rest = '';
  let [event, data] = ['', ''];
  return (piece) => {
    const lines = (rest + piece).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line.startsWith('event:')) event = line.slice(6).trim();
      else if (line.startsWith('data:')) data += (data === '' ? '' : '\n') + line.slice(5).trimStart();
      else if (line === '') {
        if (event === 'complete') return true;
        if (data !== '') onEvent(event, data);
        [event, data] = ['', ''];
      }
    }
    return false;
  };
}
