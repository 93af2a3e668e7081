import type { KeyValueStore } from '../storage/key-value.js';

/** A change of what surrounds the client. `shown` and `hidden` are the page's visibility, `leaving` is `pagehide`. */
export type PageEvent = 'online' | 'offline' | 'shown' | 'hidden' | 'focused' | 'blurred' | 'leaving';

/** The page that the client runs in. In Node and React Native it is always visible and focused unless the app says otherwise. */
export interface Page {
  isVisible(): boolean;
  isFocused(): boolean;
  /** Calls the listener at each change; returns how to stop. */
  listen(listener: (event: PageEvent) => void): () => void;
}

/** A lock that this client holds among all tabs of the user's browser. */
export interface Lock {
  /** False once another tab has stolen it. */
  isHeld(): boolean;
  release(): void;
}

export interface LockRequest {
  /** After this time the lock is taken from its holder, which may be frozen. Without it, the request waits for ever. */
  readonly stealAfterMs?: number;
  /** Resolves with undefined at once if another tab holds the lock. */
  readonly ifAvailable?: boolean;
  /** Ends the request; it then resolves with undefined. */
  readonly signal?: AbortSignal;
}

/** Messages between the tabs of a browser. A tab does not get its own. */
export interface Channel {
  post(message: unknown): void;
  close(): void;
}

/**
 * All that the client takes from its surroundings, so that a test can put virtual time, a simulated network and a second tab in
 * their place.
 */
export interface Environment {
  /** Milliseconds since 1970 of this device, which may be wrong by days. */
  now(): number;
  /** From 0 to below 1. */
  random(): number;
  /** A UUID of version 4 in lower case. */
  uuid(): string;
  /** Calls `run` once after `ms`; returns how to cancel. */
  setTimer(run: () => void, ms: number): () => void;
  readonly fetch: typeof globalThis.fetch;
  /** A constructor like the one of browsers; undefined where there is none. */
  readonly WebSocket: unknown;
  readonly page: Page;
  lock(name: string, request?: LockRequest): Promise<Lock | undefined>;
  channel(name: string, listener: (message: unknown) => void): Channel;
  /** Opens the durable storage of that name. Rejects, or never resolves, where there is none. */
  openStorage(name: string): Promise<KeyValueStore>;
}
