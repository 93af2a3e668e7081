import { type GraphQLField, isObjectType, parse } from 'graphql';
import { describe, expect, it } from 'vitest';
import { schema } from '../../src/schema/index.js';
import { findWhatEventsDependOn } from '../../src/schema/of-viewer.js';

/** Where what is written for a field says `viewer`. */
const namesViewer = ({ extensions }: GraphQLField<unknown, unknown>): boolean => {
  const { resolve } = (extensions.pothosOptions ?? {}) as { resolve?: unknown };
  return typeof resolve === 'function' && resolve.toString().includes('viewer');
};
const roots = new Set(['Query', 'Mutation', 'Subscription']);
const fields = Object.values(schema.getTypeMap())
  .filter(isObjectType)
  .filter(({ name }) => !roots.has(name) && !name.startsWith('__'))
  .flatMap((type) => Object.values(type.getFields()).map((field) => ({ name: `${type.name}.${field.name}`, field })));

describe('ofViewer', () => {
  it('marks exactly the fields whose resolvers look at the viewer', () => {
    const looking = fields.filter(({ field }) => namesViewer(field)).map(({ name }) => name);
    const marked = fields.filter(({ field }) => field.extensions.ofViewer === true).map(({ name }) => name);

    expect(looking.length).toBeGreaterThan(10);
    expect(marked.sort()).toEqual(looking.sort());
  });
});

describe('findWhatEventsDependOn', () => {
  const inRoom = (selection: string, more = '', variables = '$roomId: ID!, $afterSeq: Int') =>
    parse(`subscription S(${variables}) { roomEvents(roomId: $roomId, afterSeq: $afterSeq) { ${selection} } } ${more}`);

  it.each([
    ['what is the same for all', 'seq ... on MessageAdded { message { id content sender { id name } } }', ''],
    ['a fragment of it', '...F', 'fragment F on MessageAdded { message { system { users { name } } } }'],
    ["somebody's read mark", '... on MemberRead { member { lastReadSeq user { name } } }', ''],
  ])('shares %s', (_what, selection, more) => {
    expect(findWhatEventsDependOn(schema, inRoom(selection, more))).toEqual({ viewer: false, variables: [] });
  });

  it.each([
    ['a title', '... on MessageAdded { message { room { title } } }', ''],
    ['a presence', '... on MessageAdded { message { sender { presence { status } } } }', ''],
    ['readers', '... on MessageAdded { message { readCount } }', ''],
    ['it in a fragment', '...F', 'fragment F on MessageAdded { message { readBy { readAt } } }'],
  ])('does not share %s', (_what, selection, more) => {
    expect(findWhatEventsDependOn(schema, inRoom(selection, more)).viewer).toBe(true);
  });

  it('tells apart by what the selection is asked with, not by where the subscription starts', () => {
    const variables = '$roomId: ID!, $afterSeq: Int, $withText: Boolean!';
    const document = inRoom('seq ... on MessageAdded @include(if: $withText) { message { content } }', '', variables);

    expect(findWhatEventsDependOn(schema, document)).toEqual({ viewer: false, variables: ['withText'] });
  });
});
