import { getOperationAST, parse } from 'graphql';
import { describe, expect, it } from 'vitest';
import { findMutationInputs } from '../../src/server/graphql/mutation-inputs.js';

const none = { roomId: undefined, messageId: undefined, isSend: false };

function find(source: string, variables?: Record<string, unknown>) {
  const document = parse(source);
  const operation = getOperationAST(document);
  if (operation == null) throw new Error('One operation is wanted');
  return findMutationInputs(document, operation, variables);
}

describe('the inputs of mutations', () => {
  it.each<[string, string, Record<string, unknown> | undefined, object]>([
    [
      'a variable',
      'mutation ($input: I!) { renameRoom(input: $input) { x } }',
      { input: { roomId: 'A' } },
      { roomId: 'a' },
    ],
    ['an object', 'mutation { renameRoom(input: { roomId: "A", name: "x" }) { x } }', undefined, { roomId: 'a' }],
    ['variables in an object', 'mutation ($id: ID!) { r(input: { roomId: $id }) { x } }', { id: 'A' }, { roomId: 'a' }],
    ['a default', 'mutation ($input: I = { roomId: "A" }) { r(input: $input) { x } }', {}, { roomId: 'a' }],
    [
      'a default in an object',
      'mutation ($id: ID = "A") { r(input: { roomId: $id }) { x } }',
      undefined,
      { roomId: 'a' },
    ],
    [
      'a message',
      'mutation ($input: I!) { editMessage(input: $input) { x } }',
      { input: { messageId: 'M' } },
      { messageId: 'm' },
    ],
    [
      'a send',
      'mutation ($input: I!) { again: sendMessage(input: $input) { x } }',
      { input: { roomId: 'A', id: 'M', messageId: 'other' } },
      { roomId: 'a', messageId: 'm', isSend: true },
    ],
    [
      'a send without an id',
      'mutation { sendMessage(input: { roomId: "A" }) { x } }',
      {},
      { roomId: 'a', isSend: true },
    ],
    ['an inline fragment', 'mutation { ... on Mutation { r(input: { roomId: "A" }) { x } } }', {}, { roomId: 'a' }],
    [
      'a fragment',
      'mutation { ...F ...F } fragment F on Mutation { r(input: { roomId: "A" }) { x } }',
      {},
      { roomId: 'a' },
    ],
  ])('are found in %s', (_what, source, variables, expected) => {
    expect(find(source, variables)).toEqual([{ ...none, ...expected }]);
  });

  it.each<[string, unknown]>([
    ['a number', 5],
    ['null', null],
    ['a text', 'text'],
    ['a list', [{ roomId: 'a' }]],
    ['a field of another type', { roomId: { roomId: 'a' }, messageId: 7 }],
    ['a node of a document', { kind: 'ObjectValue', fields: 7 }],
    ['nothing', undefined],
  ])('have no ids if a variable is %s', (_what, input) => {
    expect(find('mutation ($input: I!) { renameRoom(input: $input) { x } }', { input })).toEqual([none]);
  });

  it('are listed in the order of the document, without fields that have none', () => {
    const source = 'mutation { a(input: { roomId: "A" }) { x } ping b(input: { roomId: "B" }) { x } }';

    expect(find(source).map(({ roomId }) => roomId)).toEqual(['a', 'b']);
  });

  it('are found in fragments that spread each other, each visited once', () => {
    const names = Array.from({ length: 60 }, (_, index) => `F${index}`);
    const fragments = names.map((name, index) =>
      index === 59
        ? `fragment ${name} on Mutation { r(input: { roomId: "A" }) { x } }`
        : `fragment ${name} on Mutation { ...F${index + 1} ...F${index + 1} }`,
    );

    expect(find(`mutation { ...F0 } ${fragments.join(' ')}`)).toHaveLength(1);
  });
});
