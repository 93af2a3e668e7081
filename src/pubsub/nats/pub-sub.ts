import type { StreamName } from './streams.js';

/** A stream of bytes by subject between all instances. What subscribers see live is no promise that it was stored. */
export interface PubSub {
  /** False while the server is away; a publish is refused then, and subscriptions take effect when it is back. */
  readonly isConnected: boolean;
  /** Resolves once a stream has stored it, or had it already under this id. Rejects when it cannot be known that it has. */
  publish(subject: string, body: Uint8Array, id: string): Promise<void>;
  /** The largest body that a publish or a signal can carry now. */
  readonly maxBodyBytes: number;
  /** Tells whoever listens now; kept nowhere, and dropped where it cannot be carried: never throws. */
  signal(subject: string, body: Uint8Array): void;
  /** What was told on the subject lately, oldest first; nothing where its stream cannot be read now. */
  recent(subject: string, maxAgeMs: number): Promise<readonly Recent[]>;
  /** What a stream got last, the newest first. Rejects where it cannot be read now. */
  newest(stream: StreamName, count: number): Promise<readonly Uint8Array[]>;
  /** One subscription of the server per subject and process, shared by all its listeners here. */
  subscribe(subject: string, listener: Listener): Subscription;
  /** Runs each time the connection comes up, the first time included. */
  onConnect(action: () => void): void;
  /** How many subjects are subscribed to. */
  readonly subjectCount: number;
  /** The streams that are missing or not as they have to be, as far as is known. */
  readonly failingStreams: readonly string[];
  /** How many messages were somebody else's, and ignored. */
  readonly ignoredCount: number;
  close(): Promise<void>;
}

export type Listener = (body: Uint8Array) => void;

/** A message that is kept in a stream. */
export interface Recent {
  readonly body: Uint8Array;
  /** When it was told, by this process's `performance.now()`; never later than it was. */
  readonly at: number;
}

export interface Subscription {
  /** Resolves once the server passes on what is published from here on, or at once while it is away. */
  readonly ready: Promise<void>;
  close(): void;
}
