import { buildSchema, getIntrospectionQuery, parse, validate } from 'graphql';
import { describe, expect, it } from 'vitest';
import { createDocumentLimits } from '../../src/server/graphql/limits/document-limits.js';

const schema = buildSchema('type Query { room: Room, n: Int } type Room { room: Room, n: Int }');
const rule = createDocumentLimits({ maxDepth: 4, maxAliases: 3 });
const refusals = (document: string) => validate(schema, parse(document), [rule]).map(({ message }) => message);

/** Fields nested to this depth. */
const nest = (depth: number): string => (depth === 1 ? '{ n }' : `{ room ${nest(depth - 1)} }`);

describe('the limits of a document', () => {
  it.each([
    ['4 fields deep', nest(4)],
    ['4 deep through a fragment', `{ room { ...F } } fragment F on Room { room ${nest(2)} }`],
    ['4 deep through an inline fragment', `{ room { ... on Room { room ${nest(2)} } } }`],
    ['3 aliases', '{ a: n b: n c: n }'],
    ['3 aliases, one of them used twice', '{ room { ...F } r: room { ...F } } fragment F on Room { a: n }'],
    ['the same field without aliases, often', `{ ${'n '.repeat(500)} }`],
    ['two operations, each within the limits', `query A ${nest(4)} query B { a: n b: n c: n }`],
    ['an unknown fragment, which another rule refuses', '{ ...Missing }'],
    [
      'a fragment that spreads itself, which another rule refuses',
      '{ room { ...F } } fragment F on Room { room { ...F } }',
    ],
    ['the query of GraphiQL for the schema', getIntrospectionQuery()],
  ])('allow %s', (_what, document) => {
    expect(refusals(document)).toEqual([]);
  });

  it.each([
    ['5 fields deep', nest(5), 'The operation nests 5 fields deep; at most 4 are allowed'],
    ['1,000 fields deep', nest(1_000), 'The operation nests 1000 fields deep; at most 4 are allowed'],
    [
      '5 deep through a fragment in a fragment',
      `{ room { ...F } } fragment F on Room { room { ...G } } fragment G on Room { room ${nest(2)} }`,
      'The operation nests 5 fields deep; at most 4 are allowed',
    ],
    [
      '5 deep through an inline fragment without a type',
      `{ room { ... { room ${nest(3)} } } }`,
      'The operation nests 5 fields deep; at most 4 are allowed',
    ],
    ['4 aliases', '{ a: n b: n c: n d: n }', 'The operation has 4 aliases; at most 3 are allowed'],
    [
      '4 aliases by a fragment spread twice',
      '{ room { ...F } x: room { ...F ...F } } fragment F on Room { a: n }',
      'The operation has 4 aliases; at most 3 are allowed',
    ],
    [
      'a second operation that has too many',
      'query A { n } query B { a: n b: n c: n d: n }',
      'The operation has 4 aliases; at most 3 are allowed',
    ],
  ])('refuse %s', (_what, document, message) => {
    expect(refusals(document)).toEqual([message]);
  });

  it('count fragments that multiply each other without expanding them', () => {
    const fragments = Array.from({ length: 40 }, (_, i) => `fragment F${i} on Room { ...F${i + 1} ...F${i + 1} }`);
    const document = `{ room { ...F0 } } ${fragments.join(' ')} fragment F40 on Room { a: n }`;

    expect(refusals(document)).toEqual([`The operation has ${2 ** 40} aliases; at most 3 are allowed`]);
  });
});
