import type { UserConnections } from '../../../pubsub/live/presence/user-connections.js';

/** Refuses connections of a user over the limit: sockets and streams on this instance, together. */
export class ConnectionLimit {
  readonly #max: number;
  readonly #connections: UserConnections;

  constructor(max: number, connections: UserConnections) {
    this.#max = max;
    this.#connections = connections;
  }

  isReached(userId: number): boolean {
    return this.#connections.count(userId) >= this.#max;
  }

  /** Counts a new connection. Returns the function to call when it closes, or null if the limit is reached. */
  connect(userId: number): (() => void) | null {
    return this.isReached(userId) ? null : this.#connections.connect(userId);
  }
}
