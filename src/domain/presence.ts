/** Whether a user is there, as of one moment. */
export interface Presence {
  readonly userId: number;
  readonly status: 'ONLINE' | 'OFFLINE';
  /** When the last device went away; null while online or if never seen. */
  readonly lastSeenAt: Date | null;
}

/** A socket or a stream of a user. */
export interface Device {
  readonly id: string;
  readonly userId: number;
}

/** A device that went so long ago. */
export type GoneDevice = Device & { readonly agoMs: number };

/** A user as one viewer is to hear of them. */
export interface Acquaintance {
  readonly viewerId: number;
  readonly userId: number;
}

/** The devices of all instances as PostgreSQL keeps them, on its own clock. What changes somebody's presence answers whose. */
export interface PresenceStore {
  /** Takes or renews an instance's lease. False where it was not there: no device hangs on it. */
  holdLease(instanceId: string, leaseMs: number): Promise<boolean>;
  /** Hangs devices on the lease; telling one twice is no error. Null where the lease is not there. */
  connect(instanceId: string, devices: readonly Device[]): Promise<readonly number[] | null>;
  disconnect(gone: readonly GoneDevice[]): Promise<readonly number[]>;
  /**
   * The lease runs out when the grace is over, and its devices with it. Those that had gone before have the rest of a
   * grace of their own.
   */
  releaseLease(instanceId: string, graceMs: number, gone: readonly GoneDevice[]): Promise<void>;
  /**
   * Ends the leases of others that ran out. An instance that has not held its own without a break for `patienceMs` ends
   * only those that were released: it cannot know whether the others could renew theirs.
   */
  expireLeases(instanceId: string, patienceMs: number): Promise<readonly number[]>;
  /** Ends the presence of users who have been called online for `patienceMs` and have no device. */
  expireUsers(patienceMs: number): Promise<readonly number[]>;
  /** Who of them is there, in one query; users whom nobody knows are left out. */
  readPresences(userIds: readonly number[]): Promise<Presence[]>;
  /** The same, for those viewers only who share a room with the user at that moment, or are the user. */
  readAcquaintances(asked: readonly Acquaintance[]): Promise<(Presence & Acquaintance)[]>;
}

export const isSamePresence = (a: Presence, b: Presence): boolean =>
  a.status === b.status && a.lastSeenAt?.getTime() === b.lastSeenAt?.getTime();
