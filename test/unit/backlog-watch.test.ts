import { pino } from 'pino';
import { expect, it } from 'vitest';
import { BacklogWatch } from '../../src/pubsub/live/room/backlog-watch.js';

const isOld = { entries: 3, oldestMs: 11_064.130_000_000_001 };
const isNew = { entries: 3, oldestMs: 20 };
const nothing = { entries: 0, oldestMs: 0 };

/** The lines without time, process and host. */
function createWatch() {
  const lines: unknown[] = [];
  const log = pino({ base: null, timestamp: false }, { write: (line: string) => lines.push(JSON.parse(line)) });
  return { watch: new BacklogWatch(log), lines };
}

it('logs one line when entries are too old, with the reason, and one when the stream has them', () => {
  const { watch, lines } = createWatch();
  watch.noteRefusal(new Error('no space'));
  for (const backlog of [isNew, isOld, isOld, isOld, isOld]) watch.note(backlog, true);
  expect(lines).toEqual([
    expect.objectContaining({ level: 40, entries: 3, oldestMs: 11_064, reason: 'Error: no space' }),
  ]);
  watch.note(nothing, true);
  expect(lines.slice(1)).toEqual([{ level: 30, msg: 'CHAT_MESSAGES has everything again' }]);
});

it('gives no reason of an earlier time, and none if the stream has refused nothing', () => {
  const { watch, lines } = createWatch();
  for (const backlog of [isOld, isOld, isOld]) watch.note(backlog, true);
  watch.noteRefusal(new Error('no space'));
  for (const backlog of [nothing, isOld, isOld, isOld]) watch.note(backlog, true);
  const late = lines.filter((line) => (line as { level: number }).level === 40);
  expect(late).toHaveLength(2);
  for (const line of late) expect(line).not.toHaveProperty('reason');
});

it('says nothing of old entries that the next sweep publishes', () => {
  const { watch, lines } = createWatch();
  for (const backlog of [isOld, isOld, nothing]) watch.note(backlog, true);
  expect(lines).toEqual([]);
});
