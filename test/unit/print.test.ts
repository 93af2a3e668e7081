import { describe, expect, it } from 'vitest';
import { limitAnswer, limitMessage } from '../../src/server/graphql/print.js';

const refusal = {
  data: null,
  errors: [{ message: expect.stringContaining('larger than 100 bytes'), extensions: { code: 'BAD_USER_INPUT' } }],
};
const answer = (content: string) => JSON.stringify({ data: { content } });
const message = (id: string, payload: unknown) => JSON.stringify({ id, type: 'next', payload });

describe('an answer', () => {
  it.each(['x', '가', '😀', '"'])('of %s may have as many bytes as the limit says, and not one more', (character) => {
    const bytes = Buffer.byteLength(JSON.stringify(character)) - 2;
    const most = answer(character.repeat(Math.floor((100 - answer('').length) / bytes)));
    const fits = most.replace('"}}', `${'x'.repeat(100 - Buffer.byteLength(most))}"}}`);
    expect(Buffer.byteLength(fits)).toBe(100);
    expect(limitAnswer(fits, 100)).toBe(fits);
    expect(JSON.parse(limitAnswer(fits.replace('"}}', 'x"}}'), 100))).toEqual(refusal);
  });
});

describe('an answer in a message', () => {
  it.each(['1', '', 'a "quoted" \\ id', '","type":"next","payload":', '가\n'])(
    'is replaced under the id of its operation: %j',
    (id) => {
      const text = message(id, { data: 'x'.repeat(100) });
      expect(JSON.parse(limitMessage(text, 100))).toEqual({ id, type: 'next', payload: refusal });
      expect(limitMessage(text, 1_000)).toBe(text);
    },
  );

  it('is not changed if it is another message', () => {
    const text = JSON.stringify({ id: '1', type: 'error', payload: [{ message: 'x'.repeat(100) }] });
    expect(limitMessage(text, 100)).toBe(text);
  });
});
