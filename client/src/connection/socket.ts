import { type Client, createClient } from 'graphql-ws';
import type { Environment } from '../environment/environment.js';
import { FairwayError, toFairwayError } from '../errors.js';
import { createHeartbeat } from './heartbeat.js';
import type { Sink } from './line.js';

/** The server closes a socket whose `connection_init` does not come in ten seconds. */
const openWithinMs = 10_000;

/** How a socket ended. */
export interface SocketEnd {
  /** The close code; 1006 if there was none. */
  readonly code: number;
  /** Whether the server had accepted the connection. */
  readonly wasOpen: boolean;
}

/** One WebSocket, from its opening to its end. It never reconnects. */
export interface Socket {
  readonly isOpen: boolean;
  subscribe(text: string, variables: Record<string, unknown>, sink: Sink<unknown>): () => void;
  /** Pings; the socket ends if nothing arrives in time. */
  check(withinMs: number): void;
  /** Counts everything that has arrived. */
  readonly heard: number;
  close(): void;
}

interface SocketOptions {
  readonly url: string;
  readonly token: string;
  onOpen(): void;
  /** Called once, unless the socket was closed here. */
  onEnd(end: SocketEnd): void;
}

export function openSocket(environment: Environment, { url, token, onOpen, onEnd }: SocketOptions): Socket {
  let [isOpen, hasEnded, heard] = [false, false, 0];
  let raw: { send(text: string): void } | undefined;
  const end = (code: number, isQuiet = false) => {
    if (hasEnded) return;
    hasEnded = true;
    const wasOpen = isOpen;
    isOpen = false;
    cancelOpening();
    heartbeat?.stop();
    // Ends the operations first: their sinks hear it before anybody opens another socket.
    client?.terminate();
    if (!isQuiet) onEnd({ code, wasOpen });
  };
  const cancelOpening = environment.setTimer(() => end(1006), openWithinMs);
  let heartbeat: ReturnType<typeof createHeartbeat> | undefined;
  let client: Client | undefined;
  client = createClient({
    url: url.replace(/^http/, 'ws'),
    webSocketImpl: quietly(environment.WebSocket),
    connectionParams: { authorization: `Bearer ${token}` },
    lazy: false,
    retryAttempts: 0,
    onNonLazyError: () => undefined,
    generateID: createIds(),
    on: {
      opened: (socket) => {
        raw = socket as typeof raw;
      },
      message: () => {
        heard += 1;
        heartbeat?.heard();
      },
      connected: () => {
        if (hasEnded) return;
        cancelOpening();
        isOpen = true;
        const ping = () => raw?.send('{"type":"ping"}');
        heartbeat = createHeartbeat(environment, ping, () => end(1006));
        onOpen();
      },
      closed: (event) => end((event as { code?: number } | undefined)?.code ?? 1006),
      error: () => end(1006),
    },
  });
  const { subscribe } = client;
  return {
    get isOpen() {
      return isOpen;
    },
    get heard() {
      return heard;
    },
    subscribe: (query, variables, sink) => {
      let isDone = false;
      const finish = (error?: FairwayError) => {
        if (isDone) return;
        isDone = true;
        sink.end(error);
      };
      if (!isOpen) {
        // graphql-ws would open another socket.
        queueMicrotask(() => finish(lost()));
        return () => {
          isDone = true;
        };
      }
      const stop = subscribe<Record<string, unknown>>(
        { query, variables },
        {
          next: ({ data, errors }) => {
            if (isDone) return;
            if (data == null || errors !== undefined) return finish(toFairwayError(errors));
            try {
              sink.next(data);
            } catch (error) {
              // What this client cannot read ends its own operation, not the socket of all others.
              finish(new FairwayError('INTERNAL', String(error)));
            }
            return undefined;
          },
          error: (error) => finish(Array.isArray(error) ? toFairwayError(error) : lost()),
          complete: () => finish(hasEnded ? lost() : undefined),
        },
      );
      return () => {
        isDone = true;
        stop();
      };
    },
    check: (withinMs) => heartbeat?.check(withinMs),
    close: () => end(1000, true),
  };
}

type WebSocketConstructor = new (
  url: string,
  protocols: string,
) => {
  addEventListener?(type: 'error', listener: () => void): void;
};

/** In Node, `ws` throws if a socket that nobody listens to fails: graphql-ws stops to listen before it closes one. */
function quietly(implementation: unknown): unknown {
  return class extends (implementation as WebSocketConstructor) {
    constructor(url: string, protocols: string) {
      super(url, protocols);
      this.addEventListener?.('error', () => undefined);
    }
  };
}

const lost = () => new FairwayError('OFFLINE', 'The connection was lost');

/** Short ids: they are sent with every event of an operation. */
function createIds(): () => string {
  let newest = 0;
  return () => {
    newest += 1;
    return newest.toString(36);
  };
}
