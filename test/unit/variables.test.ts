import { type OperationDefinitionNode, parse } from 'graphql';
import { describe, expect, it } from 'vitest';
import { assertModest, declaredVariables } from '../../src/server/graphql/variables.js';

const nest = (levels: number): unknown => JSON.parse(`${'[{"a":'.repeat(levels / 2)}1${'}]'.repeat(levels / 2)}`);
const refusal = { code: 'BAD_USER_INPUT' };

describe('variables', () => {
  it.each([
    ['none', undefined],
    ['null', null],
    ['a text', 'x'],
    ['32 levels', nest(32)],
    ['25,000 values', { a: Array.from({ length: 24_999 }, () => 1) }],
  ])('may be %s', (_what, value) => {
    expect(() => assertModest(value)).not.toThrow();
  });

  it.each([
    ['33 levels', { a: nest(32) }],
    ['100,000 levels', nest(100_000)],
    ['25,001 values', { a: Array.from({ length: 25_000 }, () => 1) }],
    ['many empty objects', { a: Array.from({ length: 85_000 }, () => ({})) }],
  ])('are refused with %s', (_what, value) => {
    expect(() => assertModest(value)).toThrow(expect.objectContaining(refusal));
  });

  it('are kept if they are declared, and null differs from absent', () => {
    const { definitions } = parse('query Q($a: Int, $b: Int, $c: Int = 1) { x(a: $a, b: $b, c: $c) }');
    const operation = definitions[0] as OperationDefinitionNode;
    expect(declaredVariables(operation, { a: null, c: 3, d: [{}, {}], __proto__: 1 })).toEqual({ a: null, c: 3 });
    expect(declaredVariables(operation, undefined)).toEqual({});
  });
});
