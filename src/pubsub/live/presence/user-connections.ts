import { randomUUID } from 'node:crypto';
import pLimit from 'p-limit';
import type { Logger } from 'pino';
import { every, type Loop } from '../../../domain/every.js';
import type { ClosedConnection, PresenceStore, UserConnection } from '../../../domain/presence.js';

export interface UserConnectionsOptions {
  readonly store: PresenceStore;
  readonly log: Logger;
  /** Called with the users whose presence this instance has changed. */
  readonly onChange: (userIds: readonly number[]) => void;
  /** Called immediately when a user's last connection on this instance closes. */
  readonly onLastClosed: (userId: number) => void;
}

/** A connection in its grace period or after it, and when it closed, by `performance.now()`. */
type Closed = UserConnection & { readonly at: number };

const leaseMs = 30_000;
const renewMs = 10_000;
const expireMs = 500;
const retryMs = 1_000;
/** A user who reconnects within this time, for example after a page reload, stays online. */
const graceMs = 10_000;
/** After an outage of the database an instance waits this long before it ends leases of others: they renew theirs, too. */
const patienceMs = 10_000;
/** Without a renewal for this long, presences that are read may be wrong because of this instance's own absence. */
const trustMs = renewMs + 5_000;

/**
 * Counts the connections of users to this instance, and stores them in the database, attached to the instance's lease. If the
 * lease is lost (the process was paused, the database crashed), it is created again and all connections are stored again.
 * Expired leases of other instances are ended by the first instance that notices.
 */
export class UserConnections {
  readonly #options: UserConnectionsOptions;
  readonly #instanceId = randomUUID();
  /** The open connections, and those in their grace period. */
  readonly #present = new Map<string, UserConnection>();
  /** The numbers of open connections. */
  readonly #countByUser = new Map<number, number>();
  /** One statement at a time, so that changes of a connection are written in order. */
  readonly #inTurn = pLimit(1);
  readonly #renewing: Loop;
  readonly #expiring: Loop;
  #opened: UserConnection[] = [];
  /** Connections in their grace period, in the order in which they closed. */
  readonly #inGrace: Closed[] = [];
  #closed: Closed[] = [];
  #isWriting = false;
  /** When the lease was last renewed, with all connections attached. */
  #heldAt = Number.NEGATIVE_INFINITY;
  #mustExpireUsersAt: number | undefined;
  #grace: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: UserConnectionsOptions) {
    this.#options = options;
    const { log } = options;
    this.#renewing = every(retryMs, () => this.#renew(), {
      atOnce: true,
      onError: (error) => log.warn({ err: error }, 'The presence lease could not be renewed; retrying'),
    });
    this.#expiring = every(expireMs, () => this.#endOthers(), {
      onError: (error) => log.debug({ err: error }, 'Expired leases could not be ended; retrying'),
    });
  }

  /** False while presences cannot be trusted: this instance has lost its lease, or is about to lose it. */
  get isHeld(): boolean {
    return performance.now() - this.#heldAt < trustMs;
  }

  /** How many connections of the user are open on this instance. */
  count(userId: number): number {
    return this.#countByUser.get(userId) ?? 0;
  }

  /** Registers an open connection. Call the returned function when it closes; later calls do nothing. */
  connect(userId: number): () => void {
    const connection: UserConnection = { id: randomUUID(), userId };
    this.#present.set(connection.id, connection);
    this.#countByUser.set(userId, this.count(userId) + 1);
    this.#opened.push(connection);
    void this.#writeChanges();
    let isOpen = true;
    return () => {
      if (isOpen) this.#disconnect(connection);
      isOpen = false;
    };
  }

  /**
   * Lets the lease expire after the grace period: by then the users have reconnected to other instances, or are gone.
   * Connections in their grace period are stored with it. Later changes are not written.
   */
  async close(): Promise<void> {
    this.#isClosed = true;
    void this.#renewing.stop();
    void this.#expiring.stop();
    clearTimeout(this.#grace);
    await this.#inTurn(() => {
      const closed = withAge([...this.#closed, ...this.#inGrace]);
      return this.#options.store.releaseLease(this.#instanceId, graceMs, closed);
    }).catch((error: unknown) =>
      this.#options.log.warn({ err: error }, 'The presence lease could not be released; it will expire'),
    );
  }

  #disconnect(connection: UserConnection): void {
    const { userId } = connection;
    const remaining = this.count(userId) - 1;
    if (remaining > 0) this.#countByUser.set(userId, remaining);
    else {
      this.#countByUser.delete(userId);
      this.#options.onLastClosed(userId);
    }
    if (this.#isClosed) return;
    this.#inGrace.push({ ...connection, at: performance.now() });
    this.#grace ??= setTimeout(() => this.#endGraces(), graceMs);
  }

  /** All grace periods are equally long, so they end in the order in which the connections closed. */
  #endGraces(): void {
    const now = performance.now();
    const next = this.#inGrace.findIndex(({ at }) => at + graceMs > now);
    const closed = this.#inGrace.splice(0, next === -1 ? this.#inGrace.length : next);
    for (const { id } of closed) this.#present.delete(id);
    this.#closed.push(...closed);
    const [first] = this.#inGrace;
    this.#grace = first && setTimeout(() => this.#endGraces(), first.at + graceMs - now + 1);
    void this.#writeChanges();
  }

  /** Writes changes to the database; changes during a write are written together afterwards. */
  async #writeChanges(): Promise<void> {
    if (this.#isWriting) return;
    this.#isWriting = true;
    while ((this.#opened.length > 0 || this.#closed.length > 0) && !this.#isClosed) {
      const opened = this.#opened.splice(0);
      const closed = this.#closed.splice(0);
      try {
        await this.#inTurn(() => this.#write(opened, closed));
      } catch (error) {
        this.#options.log.warn({ err: error }, 'Connections of users could not be written to the database; retrying');
        this.#opened.unshift(...opened.filter(({ id }) => this.#present.has(id)));
        this.#closed.unshift(...closed);
        await new Promise((resolve) => setTimeout(resolve, retryMs).unref());
      }
    }
    this.#isWriting = false;
  }

  async #write(opened: readonly UserConnection[], closed: readonly Closed[]): Promise<void> {
    const { store, onChange } = this.#options;
    if (opened.length > 0) {
      const online = await store.connect(this.#instanceId, opened);
      if (online === null) await this.#hold();
      else if (online.length > 0) onChange(online);
    }
    if (closed.length > 0) {
      const offline = await store.disconnect(withAge(closed));
      if (offline.length > 0) onChange(offline);
    }
  }

  async #renew(): Promise<void> {
    // At the next look it would be too old.
    if (performance.now() + retryMs > this.#heldAt + renewMs) await this.#inTurn(() => this.#hold());
  }

  async #hold(): Promise<void> {
    const { store, onChange } = this.#options;
    const askedAt = performance.now();
    if (!(await store.holdLease(this.#instanceId, leaseMs))) {
      this.#heldAt = Number.NEGATIVE_INFINITY;
      const online = this.#present.size === 0 ? [] : await store.connect(this.#instanceId, [...this.#present.values()]);
      if (online === null) throw new Error('The new lease was lost immediately');
      this.#mustExpireUsersAt = askedAt + 2 * patienceMs;
      if (online.length > 0) onChange(online);
    }
    this.#heldAt = askedAt;
  }

  async #endOthers(): Promise<void> {
    const { store, onChange } = this.#options;
    if (!this.isHeld) return;
    const offline = [...(await store.expireLeases(this.#instanceId, patienceMs))];
    if (this.#mustExpireUsersAt !== undefined && performance.now() > this.#mustExpireUsersAt) {
      offline.push(...(await store.expireUsers(patienceMs)));
      this.#mustExpireUsersAt = undefined;
    }
    if (offline.length > 0) onChange(offline);
  }
}

const withAge = (closed: readonly Closed[]): ClosedConnection[] => {
  const now = performance.now();
  return closed.map(({ at, ...connection }) => ({ ...connection, agoMs: now - at }));
};
