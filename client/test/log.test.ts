import { expect, it } from 'vitest';
import { applyEvent, type Message, openLog, showPart } from '../src/room/log.js';

const message = (seq: number) =>
  ({ id: `m${seq}`, seq, type: 'TEXT', createdAt: '', editedAt: null, deletedAt: null }) as Message;
const page = (...seqs: number[]) => ({
  edges: seqs.map((seq) => ({ node: message(seq) as never })),
  pageInfo: { hasPreviousPage: false, hasNextPage: false },
});

it('keeps what has arrived while the page around a message was on its way', () => {
  const opened = openLog('e', 2, page(1, 2));
  const event = { __typename: 'MessageAdded', seq: 3, epoch: 'e', message: message(3) } as const;
  const { log } = applyEvent(opened, event, true);
  // The page was read before the third message.
  const shown = showPart(log, page(1, 2));
  expect(shown.messages.map(({ seq }) => seq)).toEqual([1, 2, 3]);
  expect(shown.hasNewer).toBe(false);
});
