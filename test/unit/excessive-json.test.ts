import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isExcessive, outlineOf } from '../../src/server/graphql/excessive-json.js';
import { assertModest } from '../../src/server/graphql/variables.js';

const message = (variables: unknown) =>
  JSON.stringify({ id: '1', type: 'subscribe', payload: { query: '{', variables } });
const list = (length: number, entry: unknown) => Array.from({ length }, () => entry);

describe('the text of an operation', () => {
  it.each([
    ['25,000 values', { list: list(24_999, 1) }],
    ['25,000 objects', { list: list(24_999, {}) }],
    ['as many commas and brackets in texts', { text: '{[,"\\'.repeat(40_000) }],
    ['a text that ends with backslashes', { text: '\\'.repeat(20_001), other: list(24_000, ',') }],
  ])('may have %s', (_what, variables) => {
    expect(() => assertModest(variables)).not.toThrow();
    expect(isExcessive(message(variables))).toBe(false);
  });

  it.each([
    ['80,000 objects', { list: list(80_000, {}) }],
    ['30,000 texts', { list: list(30_000, '"]}') }],
    ['30,000 members', Object.fromEntries(list(30_000, 0).map((_, index) => [`m${index}`, 1]))],
  ])('is excessive with %s', (_what, variables) => {
    expect(() => assertModest(variables)).toThrow();
    expect(isExcessive(message(variables))).toBe(true);
  });

  it('is not excessive because it nests deep, or never ends', () => {
    expect(isExcessive(`{"variables":${'['.repeat(50_000)}1${']'.repeat(50_000)}}`)).toBe(false);
    expect(isExcessive(`"${','.repeat(50_000)}`)).toBe(false);
  });
});

describe('the outline of a JSON object', () => {
  const emptied = (value: unknown): unknown =>
    typeof value !== 'object' || value === null ? value : Array.isArray(value) ? [] : {};

  it('has the same members, in which objects and arrays are empty', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue()), (object) => {
        const expected = Object.entries(object).map(([name, value]) => [name, emptied(value)]);
        expect(Object.entries(JSON.parse(outlineOf(JSON.stringify(object))))).toEqual(
          JSON.parse(JSON.stringify(expected)),
        );
      }),
      { numRuns: 2_000 },
    );
  });

  it.each(['{"a":[', '{"a":"', '{"a":{"b":1}', '}}}{{{', ''])('of %j is no JSON either', (text) => {
    expect(() => JSON.parse(outlineOf(text))).toThrow();
  });
});
