import { GraphQLError } from 'graphql';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { ChatError } from '../../src/domain/errors.js';
import { Slices } from '../../src/domain/slices.js';
import { createMaskError } from '../../src/server/graphql/errors.js';
import { LargeAnswers, type Printed } from '../../src/server/graphql/limits/large-answers.js';

const maskError = createMaskError(pino({ level: 'silent' }), { suggestions: false });
const largeAnswers = (maxAnswerBytes = 64_000_000) =>
  new LargeAnswers({ slices: new Slices(), maskError, maxAnswerBytes });
const textOf = ({ pieces }: Printed): string => Buffer.concat(pieces).toString();
/** 16 KB each. */
const messages = (count: number) => Array.from({ length: count }, (_, seq) => ({ seq, content: '😀'.repeat(4_000) }));

describe('a large answer', () => {
  it('is printed byte for byte as JSON.stringify does, in pieces', async () => {
    const result = { data: { room: { messages: messages(100) } } };
    const printed = await largeAnswers().print(4, result);
    expect(textOf(printed)).toBe(JSON.stringify(result));
    expect(printed.bytes).toBe(Buffer.byteLength(JSON.stringify(result)));
    expect(printed.pieces.length).toBeGreaterThan(20);
    for (const piece of printed.pieces) expect(piece.length).toBeLessThan(65_536);
  });

  it('is printed in many turns of the event loop, between which others go on', async () => {
    let turns = 0;
    let isDone = false;
    const count = () => {
      turns += 1;
      if (!isDone) setImmediate(count);
    };
    setImmediate(count);
    const printed = await largeAnswers().print(4, { data: { messages: messages(2_000) } });
    isDone = true;
    expect(printed.bytes).toBeGreaterThan(32_000_000);
    // 32 MB take 30 ms even on a fast machine.
    expect(turns).toBeGreaterThan(3);
  });

  it('has its errors masked, and in front', async () => {
    const errors = [
      new GraphQLError('', { originalError: new ChatError('NOT_FOUND', 'no such room'), path: ['a'] }),
      new GraphQLError('secret', { originalError: new Error('secret') }),
    ];
    const text = textOf(await largeAnswers().print(4, { errors, data: { a: null, messages: messages(10) } }));
    expect(text).not.toContain('secret');
    expect(text.startsWith('{"errors":[{"message":"no such room","path":["a"],')).toBe(true);
    expect(JSON.parse(text)).toMatchObject({
      errors: [{ extensions: { code: 'NOT_FOUND' } }, { extensions: { code: 'INTERNAL' } }],
      data: { a: null, messages: messages(10) },
    });
  });

  it('is replaced by an error if it has one byte too many', async () => {
    const result = { data: { messages: messages(10) } };
    const bytes = Buffer.byteLength(JSON.stringify(result));
    expect(textOf(await largeAnswers(bytes).print(4, result))).toBe(JSON.stringify(result));
    expect(JSON.parse(textOf(await largeAnswers(bytes - 1).print(4, result)))).toMatchObject({
      data: null,
      errors: [{ extensions: { code: 'BAD_USER_INPUT' } }],
    });
  });
});
