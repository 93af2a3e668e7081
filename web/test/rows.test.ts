import type { TimelineMessage } from '@fairway/client';
import { expect, it } from 'vitest';
import { createRows } from '../src/room/rows.js';

const start = new Date(2026, 10, 30, 10, 0).getTime();

const message = (
  id: string,
  sender: string,
  minutes: number,
  type: TimelineMessage['type'] = 'TEXT',
): TimelineMessage => ({
  id,
  seq: Number(id),
  type,
  content: id,
  attachments: [],
  sender: { id: sender, name: sender, avatarUrl: null, isDeleted: false },
  senderName: sender,
  system: null,
  createdAt: new Date(start + minutes * 60_000).toISOString(),
  editedAt: null,
  deletedAt: null,
  status: 'sent',
  error: null,
  unreadMemberCount: 0,
  canEdit: false,
  canDelete: false,
});

const input = { viewerId: '4', firstUnreadId: null, hasOlder: false };

it('groups what one author writes within five minutes, with the time once a minute', () => {
  const messages = [
    message('1', '4', 0),
    message('2', '4', 0.5),
    message('3', '4', 1),
    message('4', '5', 1),
    message('5', '5', 9),
    message('6', '5', 9, 'SYSTEM'),
    message('7', '5', 9),
  ];
  const rows = createRows()({ ...input, messages });
  expect(rows.map(({ opensGroup }) => opensGroup)).toEqual([true, false, false, true, true, true, true]);
  expect(rows.map(({ showsTime }) => showsTime)).toEqual([false, true, true, true, true, true, true]);
  expect(rows.map(({ isOwn }) => isOwn)).toEqual([true, true, true, false, false, false, false]);
});

it('begins a day with its first message, and leaves out the oldest one’s while there are older ones', () => {
  const messages = [message('1', '4', 0), message('2', '4', 1_440), message('3', '4', 1_441)];
  const opensDay = (hasOlder: boolean) => createRows()({ ...input, messages, hasOlder }).map((row) => row.opensDay);
  expect(opensDay(false)).toEqual([true, true, false]);
  expect(opensDay(true)).toEqual([false, true, false]);
});

it('draws the unread line above its message, which begins a group', () => {
  const messages = [message('1', '5', 0), message('2', '5', 0)];
  const rows = createRows()({ ...input, messages, firstUnreadId: '2' });
  expect(rows.map(({ opensUnread, opensGroup }) => [opensUnread, opensGroup])).toEqual([
    [false, true],
    [true, true],
  ]);
});

it('keeps the rows that have not changed, so that only the others are drawn again', () => {
  const build = createRows();
  const messages = [message('1', '5', 0), message('2', '5', 10)];
  const before = build({ ...input, messages });
  const after = build({ ...input, messages: [...messages, message('3', '5', 20)] });
  expect(after.slice(0, 2)).toEqual(before);
  expect(after[0]).toBe(before[0]);
});
