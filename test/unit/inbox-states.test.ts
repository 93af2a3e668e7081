import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ListedRoom } from '../../src/domain/inbox.js';
import type { Member } from '../../src/domain/room-log.js';
import { InboxStates } from '../../src/pubsub/live/inbox/inbox-states.js';

const epoch = '0190a0a0-0000-7000-8000-0000000000e0';
const at = new Date(0);

const roomOf = (id: string, userId: number): ListedRoom => ({
  id,
  name: '방',
  seq: 5,
  epoch,
  updatedAt: at,
  preloaded: {
    memberCount: 2,
    lastMessage: null,
    unreadCount: 0,
    viewerMember: { userId, lastReadSeq: 0, joinedSeq: 1 } as Member,
  },
});

describe('the states of rooms in inboxes', () => {
  let states: InboxStates<ListedRoom>;
  beforeEach(() => {
    states = new InboxStates();
  });
  afterEach(() => {
    vi.restoreAllMocks();
  });

  const read = (roomId: string, userId: number) => states.beginReading(roomId, userId).end(roomOf(roomId, userId));
  const isKnown = (roomId: string, userId: number) =>
    states.show(userId, { roomId, seq: 5, epoch, lastReadSeq: 0 }) !== undefined;

  it('know a room that was read, for its viewer and at its position only', () => {
    read('a', 4);
    expect(isKnown('a', 4)).toBe(true);
    expect(isKnown('a', 5)).toBe(false);
    expect(states.show(4, { roomId: 'a', seq: 6, epoch, lastReadSeq: 0 })).toBeUndefined();
    expect(states.show(4, { roomId: 'a', seq: 5, epoch: 'later', lastReadSeq: 0 })).toBeUndefined();
    expect(states.lacks('a', 5)).toBe(false);
    expect(states.lacks('a', 6)).toBe(true);
  });

  it('ignore what was read before they were dropped, or before the viewer was forgotten', () => {
    for (const forget of [() => states.drop('a'), () => states.clear(), () => states.forget('a', 4)]) {
      const reading = states.beginReading('a', 4);
      forget();
      reading.end(roomOf('a', 4));
      expect(isKnown('a', 4)).toBe(false);
    }
  });

  it('keep nothing of a reading that failed, nor of a room without viewers', () => {
    states.beginReading('a', 4).end(null);
    expect(states.lacks('a', 1)).toBe(false);
    read('b', 4);
    states.forget('b', 4);
    expect(states.lacks('b', 6)).toBe(false);
  });

  it('keep the others of one statement, though one of its viewers is not a member any more', () => {
    const [removed, member] = [states.beginReading('a', 4), states.beginReading('a', 5)];
    removed.end(null);
    member.end(roomOf('a', 5));
    expect(isKnown('a', 5)).toBe(true);
  });

  it('are read again after five minutes, however often they are shown and read for others', async () => {
    const clock = vi.spyOn(performance, 'now');
    const isKnownAfter = async (ms: number) => {
      clock.mockReturnValue(startedAt + ms);
      // The cache looks at the clock once in a millisecond.
      await delay(5);
      return isKnown('a', 4);
    };
    const startedAt = performance.now();
    read('a', 4);
    expect(await isKnownAfter(200_000)).toBe(true);
    read('a', 5);
    expect(await isKnownAfter(299_000)).toBe(true);
    expect(await isKnownAfter(301_000)).toBe(false);
  });

  it('are bounded: rooms that were silent and unseen longest are forgotten first', () => {
    const count = 60_000;
    for (let number = 0; number < count; number += 1) {
      read(`room ${number}`, 4);
      isKnown('room 0', 4);
    }
    const known = Array.from({ length: count }, (_, number) => number).filter((number) => isKnown(`room ${number}`, 4));
    expect(known.length).toBeLessThan(count);
    expect(known.slice(0, 2)).toEqual([0, count - known.length + 1]);
  });
});
