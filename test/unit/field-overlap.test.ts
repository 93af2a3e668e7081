import { type DocumentNode, getIntrospectionQuery, parse, visit } from 'graphql';
import { describe, expect, it } from 'vitest';
import { findOverlaps } from '../../src/server/graphql/limits/field-overlap.js';

const isRefused = (text: string): boolean => findOverlaps(parse(text)) !== undefined;
/** A document that throws once the check has read more of its selections, with repetitions, than a bounded one does. */
function parseBounded(text: string): DocumentNode {
  const document = parse(text);
  let read = 0;
  visit(document, {
    SelectionSet: (node) => {
      const { selections } = node;
      Object.defineProperty(node, 'selections', {
        get: () => {
          read += selections.length;
          if (read > maxRead) throw new Error('The check has no bound');
          return selections;
        },
      });
    },
  });
  read = 0;
  return document;
}
const maxRead = 20_000;

const times = (count: number, of: (index: number) => string): string =>
  Array.from({ length: count }, (_, i) => of(i)).join(' ');
/** A chain of this many fragments, each of which spreads the next. */
const chain = (length: number, fields = '') =>
  `${times(length, (i) => `fragment F${i} on Room { ${fields} ...F${i + 1} }`)} fragment F${length} on Room { id }`;
const nest = (depth: number): string => (depth === 0 ? 'id' : `room { ${nest(depth - 1)} }`);

describe('fields that are to be merged', () => {
  it.each([
    ['400 names', `{ ${times(400, (i) => `field${i}`)} }`],
    ['some repeated fields', `{ viewer { ${times(40, () => 'id name')} } }`],
    ['fields of one name at different places', `{ ${times(100, (i) => `room${i} { id }`)} }`],
    [
      '20 fragments that select the same',
      `{ ${times(20, (i) => `...G${i}`)} } ${times(20, (i) => `fragment G${i} on Room { __typename id title }`)}`,
    ],
    ['one field with large arguments', `{ users(ids: [${times(900, String)}]) { id } }`],
    ['a chain of 20 fragments', `{ room { ...F0 } } ${chain(20, 'id')}`],
    ['300 levels', `{ ${nest(300)} }`],
    ['a fragment that is missing, which another rule refuses', '{ ...Missing }'],
    ['a fragment that spreads itself, which another rule refuses', '{ ...F } fragment F on Room { id room { ...F } }'],
    ['two fragments that spread each other', '{ ...A } fragment A on Room { ...B } fragment B on Room { id ...A }'],
    ['unused fragments that spread each other', '{ id } fragment A on Room { ...B } fragment B on Room { ...A }'],
    ['the query of GraphiQL for the schema', getIntrospectionQuery()],
  ])('are few: %s', (_what, text) => {
    expect(isRefused(text)).toBe(false);
  });

  it.each([
    ['one field', `{ ${times(190, () => 'viewer { id name }')} }`],
    ['a field below it', `{ ${times(10, () => `viewer { ${times(10, () => 'id')} }`)} }`],
    ['an alias', `{ ${times(80, (i) => `a: field${i}`)} }`],
    ['a field in inline fragments', `{ ${times(80, () => '... { ... on Query { viewer { id } } }')} }`],
    [
      'a field in fragments',
      `{ ${times(80, (i) => `...G${i}`)} } ${times(80, (i) => `fragment G${i} on Query { id }`)}`,
    ],
    ['a fragment', `{ ${times(80, () => '...G')} } fragment G on Query { a }`],
    ['a chain of fragments', `{ room { ...F0 } } ${chain(99)}`],
    ['a chain that nothing uses', `{ id } ${chain(99)}`],
    ['a field with large arguments', `{ ${times(60, () => `users(ids: [${times(12, String)}]) { id }`)} }`],
    [
      'fragments that double at each step',
      `{ ...D0 } ${times(40, (i) => `fragment D${i} on Query { ...D${i + 1} ...D${i + 1} }`)} fragment D40 on Query { a }`,
    ],
    [
      'fragments that double at each level',
      `{ ...D0 } ${times(40, (i) => `fragment D${i} on Query { a { ...D${i + 1} } b { ...D${i + 1} } }`)} fragment D40 on Query { a }`,
    ],
    ['a second operation', `query A { id } query B { ${times(80, () => 'id')} }`],
  ])('are too many: %s', (_what, text) => {
    expect(findOverlaps(parseBounded(text))).toBeDefined();
  });
});
