import { pino } from 'pino';
import { afterEach, beforeEach, expect, it, onTestFinished, vi } from 'vitest';
import type { InboxStore } from '../../src/domain/inbox.js';
import { NameNews } from '../../src/pubsub/live/inbox/name-news.js';
import type { LoadGauge } from '../../src/pubsub/live/load-gauge.js';
import type { NameSignals } from '../../src/pubsub/live/name-signals.js';
import type { Presences } from '../../src/pubsub/live/presence/presences.js';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

it('notifies inboxes of the names that changed while the database was away, when it is back', async () => {
  const { state, hear, asked, touched } = watchNames();
  state.isAway = true;
  hear(4);
  hear(5);
  await vi.advanceTimersByTimeAsync(20_000);
  expect(asked.length).toBeGreaterThan(1);
  expect(asked.length, 'an attempt in 5 s').toBeLessThanOrEqual(5);
  expect(touched).toEqual([]);

  state.isAway = false;
  await vi.advanceTimersByTimeAsync(6_000);

  expect(touched.sort()).toEqual(['room of 4', 'room of 5']);
  const { length } = asked;
  await vi.advanceTimersByTimeAsync(20_000);
  expect(asked, 'no more').toHaveLength(length);
});

function watchNames() {
  const state = { isAway: false };
  const asked: (readonly number[])[] = [];
  const touched: string[] = [];
  let hear: (userId: number) => void = () => undefined;
  const news = new NameNews({
    signals: {
      onNamed: (action: typeof hear) => {
        hear = action;
      },
    } as unknown as NameSignals,
    presences: { size: 0, repeat: () => 0 } as unknown as Presences,
    inboxes: {
      size: 1,
      touch: (roomId: string) => touched.push(roomId),
      forgetViewer: () => undefined,
      forgetStates: () => undefined,
    },
    store: {
      readRoomsThatName: async (userIds: readonly number[]) => {
        asked.push(userIds);
        if (state.isAway) throw new Error('The database is away');
        return userIds.map((userId) => `room of ${userId}`);
      },
    } as unknown as InboxStore,
    load: { intervalMs: () => 0 } as unknown as LoadGauge,
    log: pino({ level: 'silent' }),
  });
  onTestFinished(() => news.close());
  return { state, asked, touched, hear: (userId: number) => hear(userId) };
}
