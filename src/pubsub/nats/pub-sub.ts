import type { StreamName } from './streams.js';
import type { KindTraffic } from './traffic.js';

export const pingIntervalMs = 10_000;
/** How many pings may be unanswered before the connection is given up. */
export const maxPingsOut = 2;
/** A connection that passes nothing on counts as connected for this long at most: signals of that time may be lost. */
export const maxStallMs = pingIntervalMs * (maxPingsOut + 1);

/** Messages by subject between all instances. Subscribers may receive a message that no stream has stored. */
export interface PubSub {
  /** False while the server is unreachable: then `publish` rejects, and subscriptions take effect after the reconnect. */
  readonly isConnected: boolean;
  /** Resolves once a stream has stored the body, or if it had stored one with this id before. Rejects if that is unknown. */
  publish(subject: string, body: Uint8Array, id: string): Promise<void>;
  /** The current maximum size of a body. */
  readonly maxBodyBytes: number;
  /** Sends to current subscribers only, without storing. Never throws: a signal that cannot be sent is dropped. */
  signal(subject: string, body: Uint8Array): void;
  /** The stored messages of the last `maxAgeMs`, oldest first; empty if the stream cannot be read now. */
  recent(subject: string, maxAgeMs: number): Promise<readonly Recent[]>;
  /** The last messages of a stream, newest first. Rejects if it cannot be read now. */
  newest(stream: StreamName, count: number): Promise<readonly Uint8Array[]>;
  /** All listeners of a subject in this process share one NATS subscription. */
  subscribe(subject: string, listener: Listener): Subscription;
  /** Runs each time the connection comes up, the first time included. */
  onConnect(action: () => void): void;
  /** How many subjects are subscribed to. */
  readonly subjectCount: number;
  /** The streams that were missing or wrongly configured at the last check. */
  readonly failingStreams: readonly string[];
  /** How many messages were ignored because Fairway had not published them. */
  readonly ignoredCount: number;
  /** What was published and received so far, by kind of subject. */
  readonly traffic: ReadonlyMap<string, KindTraffic>;
  close(): Promise<void>;
}

export type Listener = (body: Uint8Array) => void;

/** A message in a stream. */
export interface Recent {
  readonly body: Uint8Array;
  /** When it was published, by this process's `performance.now()`; possibly earlier, never later. */
  readonly at: number;
}

export interface Subscription {
  /** Resolves once all later messages will be received, or immediately while NATS is disconnected. */
  readonly ready: Promise<void>;
  close(): void;
}
