import { randomUUID } from 'node:crypto';
import pLimit from 'p-limit';
import type { Logger } from 'pino';
import { every, type Loop } from '../../../domain/every.js';
import type { Device, GoneDevice, PresenceStore } from '../../../domain/presence.js';

export interface DevicesOptions {
  readonly store: PresenceStore;
  readonly log: Logger;
  /** Called with the users whose presence this instance has changed. */
  readonly onChange: (userIds: readonly number[]) => void;
  /** Called immediately when a user's last device on this instance disconnects. */
  readonly onLastGone: (userId: number) => void;
}

/** A device that disconnected, and when, by `performance.now()`. */
type Departure = Device & { readonly at: number };

const leaseMs = 30_000;
const renewMs = 10_000;
const expireMs = 500;
const retryMs = 1_000;
/** A user whose device reconnects within this time, for example after a page reload, stays online. */
const graceMs = 10_000;
/** After an outage of the database an instance waits this long before it ends leases of others: they renew theirs, too. */
const patienceMs = 10_000;
/** Without a renewal for this long, presences that are read may be wrong because of this instance's own absence. */
const trustMs = renewMs + 5_000;

/**
 * Stores the devices that are connected to this instance in the database, attached to the instance's lease. If the lease is
 * lost (the process was paused, the database crashed), it is created again and all devices are stored again. Expired
 * leases of other instances are ended by the first instance that notices.
 */
export class Devices {
  readonly #options: DevicesOptions;
  readonly #instanceId = randomUUID();
  readonly #present = new Map<string, Device>();
  readonly #countByUser = new Map<number, number>();
  /** One statement at a time, so that changes of a device are written in order. */
  readonly #inTurn = pLimit(1);
  readonly #renewing: Loop;
  readonly #expiring: Loop;
  #arrived: Device[] = [];
  /** Devices in their grace period, in the order in which they disconnected. */
  readonly #leaving: Departure[] = [];
  #gone: Departure[] = [];
  #isWriting = false;
  /** When the lease was last renewed, with all devices attached. */
  #heldAt = Number.NEGATIVE_INFINITY;
  #mustExpireUsersAt: number | undefined;
  #grace: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: DevicesOptions) {
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

  /** Registers a device. Call the returned function when it disconnects. */
  connect(userId: number): () => void {
    const device: Device = { id: randomUUID(), userId };
    this.#present.set(device.id, device);
    this.#countByUser.set(userId, (this.#countByUser.get(userId) ?? 0) + 1);
    this.#arrived.push(device);
    void this.#writeChanges();
    return () => this.#leave(device);
  }

  /**
   * Lets the lease expire after the grace period: by then the devices have reconnected to other instances, or are gone.
   * Devices in their grace period are stored with it. Later changes are not written.
   */
  async close(): Promise<void> {
    this.#isClosed = true;
    void this.#renewing.stop();
    void this.#expiring.stop();
    clearTimeout(this.#grace);
    await this.#inTurn(() => {
      const gone = withAge([...this.#gone, ...this.#leaving]);
      return this.#options.store.releaseLease(this.#instanceId, graceMs, gone);
    }).catch((error: unknown) =>
      this.#options.log.warn({ err: error }, 'The presence lease could not be released; it will expire'),
    );
  }

  #leave(device: Device): void {
    const { userId } = device;
    const left = (this.#countByUser.get(userId) ?? 1) - 1;
    if (left > 0) this.#countByUser.set(userId, left);
    else {
      this.#countByUser.delete(userId);
      this.#options.onLastGone(userId);
    }
    if (this.#isClosed) return;
    this.#leaving.push({ ...device, at: performance.now() });
    this.#grace ??= setTimeout(() => this.#endGraces(), graceMs);
  }

  /** All grace periods are equally long, so they end in the order in which the devices disconnected. */
  #endGraces(): void {
    const now = performance.now();
    const next = this.#leaving.findIndex(({ at }) => at + graceMs > now);
    const gone = this.#leaving.splice(0, next === -1 ? this.#leaving.length : next);
    for (const { id } of gone) this.#present.delete(id);
    this.#gone.push(...gone);
    const [first] = this.#leaving;
    this.#grace = first && setTimeout(() => this.#endGraces(), first.at + graceMs - now + 1);
    void this.#writeChanges();
  }

  /** Writes changes to the database; changes during a write are written together afterwards. */
  async #writeChanges(): Promise<void> {
    if (this.#isWriting) return;
    this.#isWriting = true;
    while ((this.#arrived.length > 0 || this.#gone.length > 0) && !this.#isClosed) {
      const arrived = this.#arrived.splice(0);
      const gone = this.#gone.splice(0);
      try {
        await this.#inTurn(() => this.#write(arrived, gone));
      } catch (error) {
        this.#options.log.warn({ err: error }, 'Devices could not be written to the database; retrying');
        this.#arrived.unshift(...arrived.filter(({ id }) => this.#present.has(id)));
        this.#gone.unshift(...gone);
        await new Promise((resolve) => setTimeout(resolve, retryMs).unref());
      }
    }
    this.#isWriting = false;
  }

  async #write(arrived: readonly Device[], gone: readonly Departure[]): Promise<void> {
    const { store, onChange } = this.#options;
    if (arrived.length > 0) {
      const online = await store.connect(this.#instanceId, arrived);
      if (online === null) await this.#hold();
      else if (online.length > 0) onChange(online);
    }
    if (gone.length > 0) {
      const offline = await store.disconnect(withAge(gone));
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

const withAge = (gone: readonly Departure[]): GoneDevice[] => {
  const now = performance.now();
  return gone.map(({ at, ...device }) => ({ ...device, agoMs: now - at }));
};
