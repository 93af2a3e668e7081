import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ReadUser } from '../../src/resolvers/name-cache.js';
import { NameCache } from '../../src/resolvers/name-cache.js';

const room = '0190a0a0-0000-7000-8000-000000000001';
/** The rest of a profile. */
const bare = { avatarUrl: null, isDeleted: false };
const kim = { ...bare, id: 4, name: '김철수' };

afterEach(() => {
  vi.useRealTimers();
});

it('returns what was read, until the user has a new name', async () => {
  const cache = new NameCache({ isComplete: true });
  expect(cache.get(4)).toBeUndefined();
  await read(cache, kim, { ...bare, id: 5, name: null });
  expect([cache.get(4), cache.get(5)]).toEqual([kim, { ...bare, id: 5, name: null }]);

  cache.forget(4);

  expect([cache.get(4), cache.get(5)]).toEqual([undefined, { ...bare, id: 5, name: null }]);
});

it.each<[string, (cache: NameCache) => void]>([
  ['a name changed', (cache) => cache.forget(4)],
  ['everything was cleared', (cache) => cache.clear()],
])('does not keep what a query returns that was under way when %s', async (_what, change) => {
  const cache = new NameCache({ isComplete: true });
  let answer = (_users: ReadUser[]): void => undefined;
  const reading = cache.read(
    () =>
      new Promise<ReadUser[]>((resolve) => {
        answer = resolve;
      }),
  );

  change(cache);
  answer([{ ...bare, id: 4, name: 'the old name' }]);

  expect(await reading).toEqual([{ ...bare, id: 4, name: 'the old name' }]);
  expect(cache.get(4)).toBeUndefined();
});

it('returns and keeps nothing while signals may be missing', async () => {
  const signals = { isComplete: true };
  const cache = new NameCache(signals);
  await read(cache, { ...kim, roomId: room, isConfirmed: true });

  signals.isComplete = false;
  expect([cache.get(4), cache.getMember(room, 4)]).toEqual([undefined, undefined]);
  await read(cache, { ...bare, id: 5, name: '이영희' });

  signals.isComplete = true;
  expect([cache.get(4), cache.get(5)]).toEqual([kim, undefined]);
});

it('returns a member of a room only if a query has shown them as confirmed there', async () => {
  const cache = new NameCache({ isComplete: true });
  await read(cache, kim, { ...bare, id: 5, name: '이영희' });
  await read(cache, { ...bare, id: 5, name: null, roomId: room, isConfirmed: false });
  expect([cache.getMember(room, 4), cache.getMember(room, 5)]).toEqual([undefined, undefined]);
  expect(cache.get(5)).toEqual({ ...bare, id: 5, name: '이영희' });

  await read(cache, { ...kim, roomId: room, isConfirmed: true });

  expect([cache.getMember(room, 4), cache.getMember(room, 5)]).toEqual([kim, undefined]);
  expect(cache.getMember(room.replace('1', '2'), 4)).toBeUndefined();
});

describe('after a minute, in case that a signal was lost,', () => {
  const lee = { ...bare, id: 5, name: '이영희' };
  let cache: NameCache;
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['performance'] });
    cache = new NameCache({ isComplete: true });
  });

  it('returns no name any more, used or not, but still knows who is confirmed', async () => {
    await read(cache, { ...kim, roomId: room, isConfirmed: true });
    vi.advanceTimersByTime(59_000);
    expect([cache.get(4), cache.getMember(room, 4)]).toEqual([kim, kim]);

    vi.advanceTimersByTime(2_000);

    expect([cache.get(4), cache.getMember(room, 4), cache.isConfirmed(room, 4)]).toEqual([undefined, undefined, true]);
  });

  it('hands out the users whose names were used since they were read, once and at most as many as wanted', async () => {
    const many = [6, 7, 8].map((id) => ({ ...bare, id, name: `user ${id}` }));
    await read(cache, kim, lee, ...many);
    vi.advanceTimersByTime(30_000);
    await read(cache, kim);
    for (const id of [4, 6, 7, 8]) cache.get(id);
    expect(cache.takeExpired(10)).toEqual([]);

    vi.advanceTimersByTime(31_000);

    expect(cache.takeExpired(2), 'nobody used 5, and 4 was read later').toEqual([6, 7]);
    expect(cache.takeExpired(10)).toEqual([8]);
    expect(cache.takeExpired(10)).toEqual([]);
    expect(cache.get(4)).toEqual(kim);
  });
});

it('keeps at most 50,000 users and as many memberships, the last used ones', async () => {
  const cache = new NameCache({ isComplete: true });
  const many = Array.from({ length: 60_000 }, (_, index) => index + 1);

  await read(cache, { ...kim, roomId: room, isConfirmed: true });
  for (let from = 0; from < many.length; from += 1_000) {
    const ids = many.slice(from, from + 1_000);
    await read(cache, ...ids.map((id) => ({ ...bare, id, name: `user ${id}`, roomId: room, isConfirmed: true })));
    expect(cache.getMember(room, 4)).toBeDefined();
  }

  expect(cache.size).toBe(100_000);
  expect([cache.get(5), cache.get(60_000)]).toEqual([undefined, { ...bare, id: 60_000, name: 'user 60000' }]);
});

const read = (cache: NameCache, ...users: ReadUser[]) => cache.read(async () => users);
