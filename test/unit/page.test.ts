import { describe, expect, it } from 'vitest';
import { decodeCursor, encodeCursor, type PageArgs, parsePageArgs, toPage } from '../../src/domain/page.js';

describe('parsePageArgs', () => {
  it.each<[PageArgs, ReturnType<typeof parsePageArgs>]>([
    [{ first: 1 }, { count: 1, backward: false, after: undefined, before: undefined }],
    [
      { first: 100, after: 'a' },
      { count: 100, backward: false, after: 'a', before: undefined },
    ],
    [
      { last: 5, before: 'b' },
      { count: 5, backward: true, after: undefined, before: 'b' },
    ],
    [
      { first: null, last: 5, after: 'a', before: 'b' },
      { count: 5, backward: true, after: 'a', before: 'b' },
    ],
    [
      { first: 5, last: null, after: null, before: null },
      { count: 5, backward: false, after: undefined, before: undefined },
    ],
  ])('reads %j', (args, expected) => {
    expect(parsePageArgs(args, 100)).toEqual(expected);
  });

  it.each<[PageArgs, string]>([
    [{}, 'Give first or last: how many are wanted'],
    [{ first: null, last: null }, 'Give first or last: how many are wanted'],
    [{ first: 1, last: 1 }, 'Give first or last, not both'],
    [{ first: 0 }, 'first must be at least 1'],
    [{ last: -1 }, 'last must be at least 1'],
    [{ first: 101 }, 'first must be at most 100'],
    [{ last: 101 }, 'last must be at most 100'],
  ])('refuses %j', (args, message) => {
    expect(() => parsePageArgs(args, 100)).toThrow(expect.objectContaining({ code: 'BAD_USER_INPUT', message }));
  });
});

describe('toPage', () => {
  const page = (rows: number[], args: PageArgs) => toPage(rows, parsePageArgs(args, 100));

  it.each<[string, number[], PageArgs, number[], boolean, boolean]>([
    ['forward with more', [1, 2, 3], { first: 2 }, [1, 2], false, true],
    ['forward at the end', [3, 4], { first: 2, after: 'c' }, [3, 4], true, false],
    ['forward over nothing', [], { first: 2 }, [], false, false],
    ['backward with more', [9, 8, 7], { last: 2 }, [8, 9], true, false],
    ['backward at the start', [2, 1], { last: 2, before: 'c' }, [1, 2], false, true],
  ])('%s', (_what, rows, args, kept, hasPreviousPage, hasNextPage) => {
    expect(page(rows, args)).toEqual({ rows: kept, hasPreviousPage, hasNextPage });
  });
});

describe('a cursor', () => {
  const pattern = /^(\d+) ([a-z]+)$/;

  it('decodes to its parts, and fits into a URL', () => {
    const cursor = encodeCursor('room', 12, 'abc');

    expect(cursor).toMatch(/^[\w-]+$/);
    expect(decodeCursor('room', cursor, pattern)).toEqual(['12', 'abc']);
  });

  it.each([
    ['another kind', encodeCursor('message', 12, 'abc')],
    ['other parts', encodeCursor('room', 'abc', 12)],
    ['more parts', encodeCursor('room', 12, 'abc', 'def')],
    ['nothing', ''],
    ['plain text', '12 abc'],
    ['garbage', '////%%%'],
  ])('is refused if it is made of %s', (_what, cursor) => {
    expect(() => decodeCursor('room', cursor, pattern)).toThrow(
      expect.objectContaining({ code: 'BAD_USER_INPUT', message: expect.stringContaining('not a cursor') }),
    );
  });

  it('is shortened in the message that refuses it', () => {
    expect(() => decodeCursor('room', 'x'.repeat(10_000), pattern)).toThrow(/^.{1,150}$/);
  });
});
