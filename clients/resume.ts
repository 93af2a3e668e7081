import { type Client, type ClientOptions, createClient } from 'graphql-ws';

/**
 * Called for a token before each request, and each time a connection begins. You may keep one until it is about to expire, but
 * never return one that the server has just refused.
 */
export type FreshToken = (refused?: string) => Promise<string>;

/** A WebSocket whose subscriptions continue at their position after each reconnect. */
export function createResumingSocket(
  url: string,
  freshToken: FreshToken,
  options: Partial<ClientOptions> = {},
): Client {
  let token: string | undefined;
  let isRefused = false;
  let attempts = 0;
  const client = createClient({
    url: url.replace(/^http/, 'ws'),
    connectionParams: async () => {
      attempts += 1;
      const own = attempts;
      try {
        token = await freshToken(isRefused ? token : undefined);
      } catch {
        // If this threw, graphql-ws would close with 4005, and its close event would end every subscription if it came after the
        // next connection has begun. A terminated socket has no such event, and the next attempt follows after the usual pause.
        if (own === attempts) client.terminate();
        return undefined;
      }
      isRefused = false;
      return { authorization: `Bearer ${token}` };
    },
    retryAttempts: Number.POSITIVE_INFINITY, // five by default
    // By default a refused connection, which is an error and not a close, ends everything, even if the network is back soon.
    shouldRetry: () => true,
    retryWait, // twice as long each time without an end by default
    keepAlive: 10_000,
    connectionAckWaitTimeout: 10_000,
    ...options,
  });
  // A browser notices only after minutes that a network is gone without a word.
  let noPong: ReturnType<typeof setTimeout> | undefined;
  client.on('ping', (isReceived) => {
    if (!isReceived) noPong = setTimeout(() => client.terminate(), pongMs);
  });
  client.on('pong', (isReceived) => {
    if (isReceived) clearTimeout(noPong);
  });
  client.on('closed', (event) => {
    clearTimeout(noPong);
    if ((event as { readonly code?: number }).code === tokenRefused) isRefused = true;
  });
  return resuming(client);
}

const pongMs = 5_000;

/** The close code of a token that is missing, bad or expired. */
const tokenRefused = 4403;

/** What a browser has and Node and React Native lack. */
interface Page extends Partial<Pick<EventTarget, 'addEventListener' | 'removeEventListener'>> {
  readonly document?: { readonly visibilityState: string };
}

/**
 * 0.5 to 1.5 times 1, 2, 4, then 8 s, so that not all clients reconnect at once. In a browser, it ends when the network is back or
 * the page is shown again.
 */
function retryWait(retries: number): Promise<void> {
  const page: Page = globalThis;
  const ms = (0.5 + Math.random()) * Math.min(1_000 * 2 ** retries, 8_000);
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      page.removeEventListener?.('online', end);
      page.removeEventListener?.('visibilitychange', endIfVisible);
      resolve();
    };
    const endIfVisible = () => {
      if (page.document?.visibilityState === 'visible') end();
    };
    const timer = setTimeout(end, ms);
    page.addEventListener?.('online', end);
    page.addEventListener?.('visibilitychange', endIfVisible);
  });
}

/**
 * graphql-ws sends an operation's variables again each time it connects, but Apollo Client, urql and Relay give it copies, so a
 * change of their variables never reaches it. This keeps copies of its own and sets the position of the newest event in them.
 *
 * A subscription is resumed if it declares `$afterSeq: Int` and `$epoch: ID`, passes both to `roomEvents`, and selects `seq` and
 * `epoch` of the event. One that is sent by its id, without a text, is resumed if `afterSeq` is among its variables, even as
 * null. All other operations pass through unchanged.
 */
export function resuming(client: Client): Client {
  return {
    ...client,
    // That of graphql-ws rejects while there is no connection.
    dispose: () => Promise.resolve(client.dispose()).catch(() => undefined),
    subscribe(payload, sink) {
      const isResumable = /\$afterSeq\b/.test(payload.query) || 'afterSeq' in (payload.variables ?? {});
      if (!isResumable) return client.subscribe(payload, sink);
      const variables: Record<string, unknown> = { ...payload.variables };
      let timer: ReturnType<typeof setTimeout> | undefined;
      let stop = () => {};
      let pauseMs: number | undefined;
      const begin = () => {
        pauseMs = undefined;
        stop = client.subscribe<Record<string, never>>(
          { ...payload, variables },
          {
            next: (result) => {
              pauseMs = result.data == null ? pauseOf(result.errors) : undefined;
              if (pauseMs !== undefined) return;
              Object.assign(variables, positionOf(result.data));
              sink.next(result as Parameters<typeof sink.next>[0]);
            },
            error: (error) => {
              const ms = pauseOf(error);
              if (ms === undefined) sink.error(error);
              else timer = setTimeout(begin, ms);
            },
            complete: () => {
              if (pauseMs === undefined) sink.complete();
              else timer = setTimeout(begin, pauseMs);
            },
          },
        );
      };
      begin();
      return () => {
        pauseMs = undefined;
        clearTimeout(timer);
        stop();
      };
    },
  };
}

/** How long to wait if the server asks for a retry: it or its database restarts, or there was too much at once. */
function pauseOf(errors: unknown): number | undefined {
  if (!Array.isArray(errors)) return undefined;
  const { extensions = {} } = (errors[0] ?? {}) as { extensions?: { code?: unknown; retryAfterMs?: unknown } };
  if (extensions.code !== 'UNAVAILABLE' && extensions.code !== 'RATE_LIMITED') return undefined;
  return typeof extensions.retryAfterMs === 'number' ? extensions.retryAfterMs : 1_000;
}

/** The log's position and epoch after this event, whatever alias the field has. */
function positionOf(data: Record<string, unknown> | null | undefined): { afterSeq?: number; epoch?: string } {
  const events = Object.values(data ?? {}) as ({ readonly seq?: unknown; readonly epoch?: unknown } | null)[];
  const { seq, epoch } = events.find((event) => typeof event?.seq === 'number') ?? {};
  return {
    ...(typeof seq === 'number' ? { afterSeq: seq } : {}),
    ...(typeof epoch === 'string' ? { epoch } : {}),
  };
}
