import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Device, GoneDevice, PresenceStore } from '../../src/domain/presence.js';
import { Devices } from '../../src/pubsub/live/presence/devices.js';

describe('the devices of an instance', () => {
  let connected: Device[];
  let disconnected: GoneDevice[];
  let released: (readonly GoneDevice[])[];
  let held: number[];
  let isDatabaseAway: boolean;
  let devices: Devices;

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
    devices = new Devices({ store, log: pino({ level: 'silent' }), onChange: ignore, onLastGone: ignore });
  });
  afterEach(async () => {
    await devices.close();
    vi.useRealTimers();
  });

  it('are handed over at the end with how long ago they went, those alone that are in their grace', async () => {
    const [, , leave, leaveLater] = [1, 2, 3, 4].map((userId) => devices.connect(userId));
    devices.connect(5)();
    await vi.advanceTimersByTimeAsync(10_100);
    leave?.();
    await vi.advanceTimersByTimeAsync(5_000);
    leaveLater?.();
    await vi.advanceTimersByTimeAsync(3_000);
    await devices.close();

    const handedOver = released.flat().map(({ userId, agoMs }) => [userId, Math.round(agoMs)]);
    expect(handedOver).toEqual([
      [3, 8_000],
      [4, 3_000],
    ]);
    expect(released.flat().every(({ id }) => connected.some((device) => device.id === id))).toBe(true);
    expect(disconnected.map(({ userId }) => userId)).toEqual([5]);
  });

  it('hang on a lease that is renewed every ten seconds, and tried each second while that fails', async () => {
    const startedAt = performance.now() / 1_000;
    await vi.advanceTimersByTimeAsync(25_000);
    isDatabaseAway = true;
    await vi.advanceTimersByTimeAsync(7_500);
    expect(held.map((at) => Math.round(at - startedAt))).toEqual([0, 10, 20, 30, 31, 32]);
    expect(devices.isHeld).toBe(true);
  });

  it('are not told any more once they are handed over', async () => {
    const leave = devices.connect(1);
    await vi.advanceTimersByTimeAsync(0);
    await devices.close();
    leave();
    devices.connect(2);
    await vi.advanceTimersByTimeAsync(20_000);
    expect([connected.map(({ userId }) => userId), disconnected, released]).toEqual([[1], [], [[]]]);
  });
});
