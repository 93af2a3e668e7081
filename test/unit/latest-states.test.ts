import { expect, it } from 'vitest';
import type { MarkMove } from '../../src/domain/room-log.js';
import { LatestStates } from '../../src/pubsub/live/room/latest-states.js';
import { type RoomState, readMark } from '../../src/pubsub/live/room/room-states.js';
import { type Nickname, nickname } from '../support/room-states.js';

const roomId = '0190a0a0-0000-7000-8000-000000000001';

it('returns the newest state of each key, in the order of their arrival', () => {
  const states = new LatestStates(readMark);
  const before = states.version;
  states.accept(markOf(4, 1));
  states.accept(markOf(5, 1));
  states.accept(markOf(4, 2));

  expect(after(states, before)).toEqual([markOf(5, 1), markOf(4, 2)]);
  expect(after(states, states.version)).toEqual([]);
});

it('returns only the later states to a subscriber that has some already', () => {
  const states = new LatestStates(readMark);
  for (const userId of [4, 5, 6, 7]) states.accept(markOf(userId, 1));
  const seen = states.after(0)?.version ?? 0;
  states.accept(markOf(6, 2));
  states.accept(markOf(4, 2));

  expect(after(states, seen)).toEqual([markOf(5, 1), markOf(7, 1), markOf(6, 2), markOf(4, 2)]);
});

it('returns all later states at once, or as many of the oldest as are asked for', () => {
  const states = new LatestStates(readMark);
  states.accept(markOf(4, 1));
  const seen = states.version;
  for (const userId of [5, 6, 7]) states.accept(markOf(userId, 1));
  states.accept(markOf(5, 2));

  const ask = (count: number) => states.allAfter(seen, count).map(({ state }) => state);
  expect(ask(10)).toEqual([markOf(6, 1), markOf(7, 1), markOf(5, 2)]);
  expect(ask(2)).toEqual([markOf(6, 1), markOf(7, 1)]);
  expect(states.allAfter(states.version, 10)).toEqual([]);
});

it('keeps the state that was replaced beside each, and only that one', () => {
  const states = new LatestStates(readMark);
  for (const seq of [1, 2, 3]) states.accept(markOf(4, seq));
  states.accept(markOf(5, 1));

  const [first, second] = states.allAfter(0, 2);
  expect([first?.state, first?.before]).toEqual([markOf(4, 3), markOf(4, 2)]);
  expect([second?.state, second?.before]).toEqual([markOf(5, 1), undefined]);
});

it('refuses a state that is not newer by the rule of its kind', () => {
  const marks = new LatestStates(readMark);
  const nicknames = new LatestStates(nickname);

  expect([markOf(4, 2), markOf(4, 2), markOf(4, 1)].map((mark) => marks.accept(mark))).toEqual([true, false, false]);
  expect([nicknameOf(4, 2), nicknameOf(4, 1)].map((state) => nicknames.accept(state))).toEqual([true, false]);
  expect([marks.isNews(markOf(4, 2)), marks.isNews(markOf(4, 3))]).toEqual([false, true]);
  expect([after(marks, 0), after(nicknames, 0)]).toEqual([[markOf(4, 2)], [nicknameOf(4, 2)]]);
});

it('returns nothing from before it was cleared, and everything from then on', () => {
  const states = new LatestStates(readMark);
  states.accept(markOf(4, 9));
  const seen = states.version;
  states.accept(markOf(5, 9));
  states.clear();
  expect(after(states, seen)).toEqual([]);

  states.accept(markOf(4, 1));
  expect(after(states, seen)).toEqual([markOf(4, 1)]);
});

it('keeps the newest 10,000 states, whatever is published on the subjects of a room', () => {
  const states = new LatestStates(readMark);
  for (let userId = 1; userId <= 10_000; userId += 1) states.accept(markOf(userId, 1));
  states.accept(markOf(1, 2));
  states.accept(markOf(10_001, 1));

  const kept = after(states, 0);
  expect(kept).toHaveLength(10_000);
  expect([kept[0], ...kept.slice(-2)]).toEqual([markOf(3, 1), markOf(1, 2), markOf(10_001, 1)]);
});

function after<State extends RoomState>(states: LatestStates<State>, version: number): unknown[] {
  const all: unknown[] = [];
  for (let latest = states.after(version); latest !== undefined; latest = states.after(latest.version)) {
    all.push(latest.state);
  }
  return all;
}

const markOf = (userId: number, lastReadSeq: number) =>
  ({ roomId, userId, lastReadSeq, previousSeq: null }) as MarkMove;
const nicknameOf = (userId: number, revision: number): Nickname => ({ roomId, userId, nickname: 'kim', revision });
