import { randomUUID } from 'node:crypto';
import pLimit from 'p-limit';
import type { Logger } from 'pino';
import { every, type Loop } from '../../../domain/every.js';
import type { Device, GoneDevice, PresenceStore } from '../../../domain/presence.js';

export interface DevicesOptions {
  readonly store: PresenceStore;
  readonly log: Logger;
  /** Told whose presence has changed by what this instance did. */
  readonly onChange: (userIds: readonly number[]) => void;
  /** Told at once when a user's last device on this instance has gone. */
  readonly onLastGone: (userId: number) => void;
}

/** A device that went, and when, by `performance.now()`. */
type Departure = Device & { readonly at: number };

const leaseMs = 30_000;
const renewMs = 10_000;
const expireMs = 500;
const retryMs = 1_000;
/** A device that comes back this soon, as with a reload, has not been away. */
const graceMs = 10_000;
/** Who was cut off from the database waits this long before calling others dead: they come back at the same time. */
const patienceMs = 10_000;
/** Beyond this without a renewal what is read of others may be old news of our own absence. */
const trustMs = renewMs + 5_000;

/**
 * The devices that are connected to this instance, as rows in the database that hang on this instance's lease. When
 * the lease is lost (the process was stopped, the database crashed) it is taken anew and all devices are told again.
 * The leases of instances that are gone are ended by whoever notices first.
 */
export class Devices {
  readonly #options: DevicesOptions;
  readonly #instanceId = randomUUID();
  readonly #present = new Map<string, Device>();
  readonly #countByUser = new Map<number, number>();
  /** One statement at a time: what is told of a device arrives in its order. */
  readonly #inTurn = pLimit(1);
  readonly #renewing: Loop;
  readonly #expiring: Loop;
  #arrived: Device[] = [];
  /** Went so lately that they may come back, the first that went first. */
  readonly #leaving: Departure[] = [];
  #gone: Departure[] = [];
  #isTelling = false;
  /** When the lease was last renewed, and everything told that hangs on it. */
  #heldAt = Number.NEGATIVE_INFINITY;
  #mustExpireUsersAt: number | undefined;
  #grace: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: DevicesOptions) {
    this.#options = options;
    const { log } = options;
    this.#renewing = every(retryMs, () => this.#renew(), {
      atOnce: true,
      onError: (error) => log.warn({ err: error }, 'The presence lease could not be renewed; it is tried again'),
    });
    this.#expiring = every(expireMs, () => this.#endOthers(), {
      onError: (error) => log.debug({ err: error }, 'Expired leases could not be ended; it is tried again'),
    });
  }

  /** False while this instance cannot know who is there: it has lost its lease, or is about to. */
  get isHeld(): boolean {
    return performance.now() - this.#heldAt < trustMs;
  }

  /** A device is there; returns how to tell that it went. */
  connect(userId: number): () => void {
    const device: Device = { id: randomUUID(), userId };
    this.#present.set(device.id, device);
    this.#countByUser.set(userId, (this.#countByUser.get(userId) ?? 0) + 1);
    this.#arrived.push(device);
    void this.#tell();
    return () => this.#leave(device);
  }

  /**
   * Lets the lease run out: by then the devices are on other instances, or gone. Those in their grace are handed over
   * with it. What comes and goes from here on is not told.
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
      this.#options.log.warn({ err: error }, 'The presence lease could not be released; it runs out by itself'),
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

  /** All have the same grace, so the first that went is the first whose grace ends. */
  #endGraces(): void {
    const now = performance.now();
    const next = this.#leaving.findIndex(({ at }) => at + graceMs > now);
    const gone = this.#leaving.splice(0, next === -1 ? this.#leaving.length : next);
    for (const { id } of gone) this.#present.delete(id);
    this.#gone.push(...gone);
    const [first] = this.#leaving;
    this.#grace = first && setTimeout(() => this.#endGraces(), first.at + graceMs - now + 1);
    void this.#tell();
  }

  /** Brings to the database what has changed, together what came while the last was under way. */
  async #tell(): Promise<void> {
    if (this.#isTelling) return;
    this.#isTelling = true;
    while ((this.#arrived.length > 0 || this.#gone.length > 0) && !this.#isClosed) {
      const arrived = this.#arrived.splice(0);
      const gone = this.#gone.splice(0);
      try {
        await this.#inTurn(() => this.#write(arrived, gone));
      } catch (error) {
        this.#options.log.warn({ err: error }, 'Devices could not be told to the database; it is tried again');
        this.#arrived.unshift(...arrived.filter(({ id }) => this.#present.has(id)));
        this.#gone.unshift(...gone);
        await new Promise((resolve) => setTimeout(resolve, retryMs).unref());
      }
    }
    this.#isTelling = false;
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
      if (online === null) throw new Error('The lease was lost again at once');
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
