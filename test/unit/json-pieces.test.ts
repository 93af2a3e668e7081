import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { jsonPieces } from '../../src/server/graphql/json-pieces.js';

const jsonIn = (value: unknown, length: number): string => [...jsonPieces(value, length)].join('');

describe('JSON in pieces', () => {
  const leaf = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('\ud83d', '\ude00\ud83d', '😀', '\u2028', '"\\\n'),
    fc.double(),
    fc.boolean(),
    fc.constantFrom(null, undefined, new Date(0), new Date(Number.NaN), () => 1, Symbol('s'), Number.NaN, -0),
  );
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { maxDepth: 5 },
      leaf,
      fc.array(tie('tree')),
      fc.dictionary(fc.string({ unit: 'binary' }), tie('tree')),
      fc.dictionary(fc.string(), tie('tree'), { noNullPrototype: false }),
    ),
  }));

  it('is exactly what JSON.stringify prints, whatever the length of a piece', () => {
    fc.assert(
      fc.property(tree, fc.integer({ min: 1, max: 100 }), (value, length) => {
        expect(jsonIn(value, length)).toBe(JSON.stringify(value) ?? '');
      }),
      { numRuns: 2_000 },
    );
  });

  it.each([
    ['holes', Object.assign(new Array(3), { 0: 1, 2: 2 })],
    ['what prints itself', { a: { toJSON: () => ({ b: [1] }) }, c: Object.create({ toJSON: () => 'inherited' }) }],
    ['maps, sets and boxed values', { a: new Map([[1, 2]]), b: new Set([1]), c: Object('x'), d: Object(1) }],
    ['names like those of prototypes', JSON.parse('{"__proto__":{"a":1},"constructor":2,"10":3,"2":4}')],
  ])('prints %s as JSON.stringify does', (_what, value) => {
    expect(jsonIn(value, 1)).toBe(JSON.stringify(value));
  });

  it('has pieces of at least the length, the last one excepted, and one text more at most', () => {
    const texts = Array.from({ length: 50 }, () => ({ content: '가'.repeat(300) }));
    const pieces = [...jsonPieces({ data: { texts } }, 1_000)];
    expect(pieces.length).toBeGreaterThan(10);
    for (const piece of pieces.slice(0, -1)) expect(piece.length).toBeGreaterThanOrEqual(1_000);
    for (const piece of pieces) expect(piece.length).toBeLessThan(1_000 + 302);
    expect(pieces.join('')).toBe(JSON.stringify({ data: { texts } }));
  });

  it('has pieces of about the length, however small the entries of a list are', () => {
    const members = Array.from({ length: 5_000 }, (_, number) => ({
      user: { name: `user ${number}` },
      isAdmin: false,
    }));
    const pieces = [...jsonPieces({ data: { members } }, 16_384)];
    expect(pieces.length).toBeGreaterThan(10);
    for (const piece of pieces.slice(0, -1)) expect(piece.length).toBeGreaterThanOrEqual(16_384);
    for (const piece of pieces) expect(piece.length).toBeLessThan(2 * 16_384);
    expect(pieces.join('')).toBe(JSON.stringify({ data: { members } }));
  });

  it('prints deep values without recursion', () => {
    const text = `${'['.repeat(50_000)}1${']'.repeat(50_000)}`;
    expect(jsonIn(JSON.parse(text), 100)).toBe(text);
  });
});
