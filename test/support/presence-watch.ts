import { setTimeout as delay } from 'node:timers/promises';
import type { OnPresenceSubscription } from '../e2e/generated/graphql.js';
import { type Feed, type TestClient, tokenFor } from './client.js';
import type { Instance } from './instance.js';
import { presence } from './operations.js';
import { patienceMs, waitFor } from './wait-for.js';
import { RawSocket } from './wire.js';

type Status = 'ONLINE' | 'OFFLINE';

/** An event of a user's presence; `at` is the time of its arrival, by `performance.now()`. */
export interface Told {
  readonly userId: number;
  readonly status: Status;
  readonly lastSeenAt: number | null;
  readonly at: number;
}

/** One presence subscription over WebSocket. */
export class PresenceWatch {
  readonly feed: Feed<OnPresenceSubscription>;

  constructor(client: TestClient, userIds: readonly number[]) {
    this.feed = client.subscribe(presence, { userIds: userIds.map(String) });
  }

  get told(): readonly Told[] {
    return this.feed.events.map(({ presence: { user, status, lastSeenAt } }, index) => ({
      userId: Number(user.id),
      status: status as Status,
      lastSeenAt: lastSeenAt == null ? null : Date.parse(String(lastSeenAt)),
      at: this.feed.times[index] as number,
    }));
  }

  of(userId: number): Told[] {
    return this.told.filter((one) => one.userId === userId);
  }

  statuses(userId: number): Status[] {
    return this.of(userId).map(({ status }) => status);
  }

  /** The users of whom any event had this status. */
  everTold(status: Status): Set<number> {
    return new Set(this.told.filter((one) => one.status === status).map(({ userId }) => userId));
  }

  /** Resolves with the last event of each user once all of them have this status. */
  async until(status: Status, userIds: readonly number[], timeoutMs = patienceMs): Promise<readonly Told[]> {
    const newest = () => userIds.map((userId) => this.of(userId).at(-1));
    await waitFor(
      () => {
        if (this.feed.error !== undefined) throw this.feed.error;
        return newest().every((one) => one?.status === status);
      },
      { what: `${userIds.length} users to be ${status} (${this.feed.events.length} events)`, timeoutMs },
    );
    return newest() as Told[];
  }
}

/** Opens a connection of the user: an idle socket. */
export const openConnection = async (instance: Instance, userId: number): Promise<RawSocket> =>
  RawSocket.connect(instance, await tokenFor(userId));

export const openConnections = (instance: Instance, userIds: readonly number[]): Promise<RawSocket[]> =>
  Promise.all(userIds.map((userId) => openConnection(instance, userId)));

/** Waits, for a test that nothing happens: there is no condition to wait for. */
export const quiet = (forMs: number): Promise<void> => delay(forMs);

export const range = (first: number, count: number): number[] => Array.from({ length: count }, (_, i) => first + i);
