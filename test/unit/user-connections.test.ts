import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ClosedConnection, PresenceStore, UserConnection } from '../../src/domain/presence.js';
import { UserConnections } from '../../src/pubsub/live/presence/user-connections.js';

describe('the connections of users to an instance', () => {
  let connected: UserConnection[];
  let disconnected: ClosedConnection[];
  let released: (readonly ClosedConnection[])[];
  let held: number[];
  let isDatabaseAway: boolean;
  let connections: UserConnections;

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] });
    [connected, disconnected, released] = [[], [], []];
    [held, isDatabaseAway] = [[], false];
    const store = {
      holdLease: async () => {
        held.push(Math.round(performance.now() / 1_000));
        if (isDatabaseAway) throw new Error('It is away');
        return true;
      },
      connect: async (_instanceId, some) => {
        connected.push(...some);
        return [];
      },
      disconnect: async (some) => {
        disconnected.push(...some);
        return [];
      },
      releaseLease: async (_instanceId, _graceMs, gone) => void released.push(gone),
      expireLeases: async () => [],
    } as Partial<PresenceStore> as PresenceStore;
    const ignore = () => undefined;
    connections = new UserConnections({
      store,
      log: pino({ level: 'silent' }),
      onChange: ignore,
      onLastClosed: ignore,
    });
  });
  afterEach(async () => {
    await connections.close();
    vi.useRealTimers();
  });

  it('are handed over at the end, with the time since they closed, if they are still in their grace period', async () => {
    const [, , leave, leaveLater] = [1, 2, 3, 4].map((userId) => connections.connect(userId));
    connections.connect(5)();
    await vi.advanceTimersByTimeAsync(10_100);
    leave?.();
    await vi.advanceTimersByTimeAsync(5_000);
    leaveLater?.();
    await vi.advanceTimersByTimeAsync(3_000);
    await connections.close();

    const handedOver = released.flat().map(({ userId, agoMs }) => [userId, Math.round(agoMs)]);
    expect(handedOver).toEqual([
      [3, 8_000],
      [4, 3_000],
    ]);
    expect(released.flat().every(({ id }) => connected.some((connection) => connection.id === id))).toBe(true);
    expect(disconnected.map(({ userId }) => userId)).toEqual([5]);
  });

  it('are counted by user until they close, each once', () => {
    const [close] = [connections.connect(1), connections.connect(1)];
    connections.connect(2);
    close?.();
    close?.();
    expect([1, 2, 3].map((userId) => connections.count(userId))).toEqual([1, 1, 0]);
  });

  it('depend on a lease that is renewed every ten seconds, and every second while that fails', async () => {
    const startedAt = performance.now() / 1_000;
    await vi.advanceTimersByTimeAsync(25_000);
    isDatabaseAway = true;
    await vi.advanceTimersByTimeAsync(7_500);
    expect(held.map((at) => Math.round(at - startedAt))).toEqual([0, 10, 20, 30, 31, 32]);
    expect(connections.isHeld).toBe(true);
  });

  it('are not reported any more once they are handed over', async () => {
    const leave = connections.connect(1);
    await vi.advanceTimersByTimeAsync(0);
    await connections.close();
    leave();
    connections.connect(2);
    await vi.advanceTimersByTimeAsync(20_000);
    expect([connected.map(({ userId }) => userId), disconnected, released]).toEqual([[1], [], [[]]]);
  });
});
