import { expect, it } from 'vitest';
import type { Member } from '../../src/domain/room-log.js';
import { LatestStates } from '../../src/pubsub/live/room/latest-states.js';
import { readMark } from '../../src/pubsub/live/room/room-states.js';
import { type Nickname, nickname } from '../support/room-states.js';

const roomId = '0190a0a0-0000-7000-8000-000000000001';

it('returns the newest state of each key of each kind, in the order of their arrival', () => {
  const states = new LatestStates();
  const before = states.version;
  states.accept(readMark, markOf(4, 1));
  states.accept(nickname, nicknameOf(4, 1));
  states.accept(readMark, markOf(5, 1));
  states.accept(readMark, markOf(4, 2));

  expect(after(states, before)).toEqual([nicknameOf(4, 1), markOf(5, 1), markOf(4, 2)]);
  expect(after(states, states.version)).toEqual([]);
});

it('returns only the later states to a subscriber that has some already', () => {
  const states = new LatestStates();
  for (const userId of [4, 5, 6, 7]) states.accept(readMark, markOf(userId, 1));
  const seen = states.after(0)?.version ?? 0;
  states.accept(readMark, markOf(6, 2));
  states.accept(readMark, markOf(4, 2));

  expect(after(states, seen)).toEqual([markOf(5, 1), markOf(7, 1), markOf(6, 2), markOf(4, 2)]);
});

it('refuses a state that is not newer by the rule of its kind, so that a repetition wakes nobody', () => {
  const states = new LatestStates();
  const accepted = [markOf(4, 2), markOf(4, 2), markOf(4, 1)].map((mark) => states.accept(readMark, mark));
  accepted.push(...[nicknameOf(4, 2), nicknameOf(4, 1)].map((state) => states.accept(nickname, state)));

  expect(accepted).toEqual([true, false, false, true, false]);
  expect(after(states, 0)).toEqual([markOf(4, 2), nicknameOf(4, 2)]);
});

it('returns nothing from before it was cleared, and everything from then on', () => {
  const states = new LatestStates();
  states.accept(readMark, markOf(4, 9));
  const seen = states.version;
  states.accept(readMark, markOf(5, 9));
  states.clear();
  expect(after(states, seen)).toEqual([]);

  states.accept(readMark, markOf(4, 1));
  expect(after(states, seen)).toEqual([markOf(4, 1)]);
});

it('keeps the newest 10,000 states, whatever is published on the subjects of a room', () => {
  const states = new LatestStates();
  for (let userId = 1; userId <= 10_000; userId += 1) states.accept(readMark, markOf(userId, 1));
  states.accept(readMark, markOf(1, 2));
  states.accept(nickname, nicknameOf(1, 1));

  const kept = after(states, 0);
  expect(kept).toHaveLength(10_000);
  expect([kept[0], ...kept.slice(-2)]).toEqual([markOf(3, 1), markOf(1, 2), nicknameOf(1, 1)]);
});

function after(states: LatestStates, version: number): unknown[] {
  const all: unknown[] = [];
  for (let latest = states.after(version); latest !== undefined; latest = states.after(latest.version)) {
    all.push(latest.state);
  }
  return all;
}

const markOf = (userId: number, lastReadSeq: number) => ({ roomId, userId, lastReadSeq }) as Member;
const nicknameOf = (userId: number, revision: number): Nickname => ({ roomId, userId, nickname: 'kim', revision });
