import { parse } from 'graphql';
import { expect, it } from 'vitest';
import { countRootFields } from '../../src/server/graphql/root-fields.js';

it.each([
  ['{ viewer { id name } }', undefined, 1],
  ['{ a: rooms { x } b: rooms { x } viewer { id } }', undefined, 3],
  ['{ ... { a b } ... on Query { c } }', undefined, 3],
  ['{ ...F ...F } fragment F on Query { a ...G } fragment G on Query { b c }', undefined, 6],
  ['{ ...F } fragment F on Query { a ...F }', undefined, 1],
  ['{ ...Nowhere }', undefined, 1],
  ['query A { a } query B { a b }', 'B', 2],
  ['query A { a } query B { a b }', 'C', 1],
])('counts the root fields of %s', (text, operationName, count) => {
  const document = parse(text);

  expect(countRootFields(document, operationName)).toBe(count);
  expect(countRootFields(document, operationName)).toBe(count);
});
