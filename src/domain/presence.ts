/** Whether a user is online at one moment. */
export interface Presence {
  readonly userId: number;
  readonly status: 'ONLINE' | 'OFFLINE';
  /** When the last connection closed; null while online or if never seen. */
  readonly lastSeenAt: Date | null;
}

/** An open WebSocket or HTTP stream of a user; the user is online while there is one. */
export interface UserConnection {
  readonly id: string;
  readonly userId: number;
}

/** A connection that closed `agoMs` ago. */
export type ClosedConnection = UserConnection & { readonly agoMs: number };

/** A user, and a viewer who wants to see the user's presence. */
export interface ViewedUser {
  readonly viewerId: number;
  readonly userId: number;
}

/**
 * The users' connections to all instances in PostgreSQL, by PostgreSQL's clock. Methods that change presence return the
 * users whose presence changed.
 */
export interface PresenceStore {
  /** Creates or renews an instance's lease. False if it did not exist: then no connection is attached to it. */
  holdLease(instanceId: string, leaseMs: number): Promise<boolean>;
  /** Attaches connections to the lease; attaching one twice is no error. Null if the lease does not exist. */
  connect(instanceId: string, connections: readonly UserConnection[]): Promise<readonly number[] | null>;
  disconnect(closed: readonly ClosedConnection[]): Promise<readonly number[]>;
  /**
   * Lets the lease and its connections expire after `graceMs`. Connections that closed earlier keep only the rest of their
   * own grace period.
   */
  releaseLease(instanceId: string, graceMs: number, closed: readonly ClosedConnection[]): Promise<void>;
  /**
   * Ends the expired leases of other instances. An instance that has not held its own lease for `patienceMs` without a break
   * ends only released leases: the other instances may not have been able to renew theirs either.
   */
  expireLeases(instanceId: string, patienceMs: number): Promise<readonly number[]>;
  /** Sets users offline who have been stored as online for `patienceMs` and have no connection. */
  expireUsers(patienceMs: number): Promise<readonly number[]>;
  /** The presences of these users, in one query; unknown users are left out. */
  readPresences(userIds: readonly number[]): Promise<Presence[]>;
  /** The same, but only for pairs in which the viewer shares a room with the user now, or is the user. */
  readVisiblePresences(asked: readonly ViewedUser[]): Promise<(Presence & ViewedUser)[]>;
}

export const isSamePresence = (a: Presence, b: Presence): boolean =>
  a.status === b.status && a.lastSeenAt?.getTime() === b.lastSeenAt?.getTime();
