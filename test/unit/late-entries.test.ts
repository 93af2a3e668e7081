import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { LateEntries } from '../../src/pubsub/live/room/late-entries.js';
import type { FeedListener, RoomFeed } from '../../src/pubsub/live/room/room-feed.js';

describe('the lateness of entries', () => {
  let late: LateEntries;
  const heldUntil = new Map<number, number>();

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['performance'] });
    heldUntil.clear();
    late = new LateEntries((userId) => heldUntil.get(userId) ?? Number.NEGATIVE_INFINITY);
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  const measure = () => {
    vi.advanceTimersByTime(100);
    return late.measure(0);
  };
  /** A feed whose users have waited for so many milliseconds, by their numbers. */
  const feedOf = (waits: Readonly<Record<number, number | undefined>>): RoomFeed => {
    const now = performance.now();
    const listeners = Object.entries(waits).map(
      ([viewerId, ms]): FeedListener => ({
        viewerId: Number(viewerId),
        waitsSince: ms === undefined ? undefined : now + 100 - ms,
        wake: () => undefined,
      }),
    );
    return { listeners: new Set(listeners) } as unknown as RoomFeed;
  };
  const users = (count: number, ms: number | undefined) =>
    Object.fromEntries(Array.from({ length: count }, (_, index) => [index + 1, ms]));

  it('is the longest wait, apart from that of the worst user', () => {
    late.note(feedOf({ 1: 2_000, 2: 900, 3: 500 }));
    late.note(feedOf({ 1: 3_000, 2: 300 }));
    expect(measure()).toBe(900);
  });

  it('leaves out one user of a hundred, and one more, in all rooms with new entries', () => {
    late.note(feedOf({ ...users(300, undefined), 1: 5_000, 2: 5_000, 3: 5_000, 4: 5_000 }));
    expect(measure()).toBe(0);
    late.note(feedOf({ ...users(300, undefined), 1: 5_000, 2: 5_000, 3: 5_000, 4: 5_000, 5: 4_000 }));
    expect(measure()).toBe(4_000);
  });

  it('counts nobody who does not wait, nor one whose entry has just arrived', () => {
    late.note(feedOf({ 1: undefined, 2: 50, 3: 90 }));
    expect(measure()).toBe(0);
  });

  it('counts a wait from the moment when the limits of its user allow it', () => {
    const now = performance.now();
    heldUntil
      .set(1, now + 100)
      .set(2, now - 300)
      .set(3, now - 9_000);
    late.note(feedOf({ 1: 5_000, 2: 5_000, 3: 200, 4: 300, 5: 10 }));
    expect(measure()).toBe(300);
  });

  it('looks at a room until nobody waits there any more', () => {
    const waiting = feedOf({ 1: 500, 2: 500 });
    late.note(waiting);
    expect(measure()).toBe(500);
    expect(measure()).toBe(600);
    for (const listener of waiting.listeners) waiting.listeners.delete(listener);
    expect(measure()).toBe(0);
    expect(late.measure(300), 'a late turn without entries delays none').toBe(0);
  });

  it('is that of the event loop if entries came in a late turn', () => {
    late.note(feedOf({ 1: undefined }));
    expect(late.measure(300)).toBe(300);
  });
});
