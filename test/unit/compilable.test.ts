import { parse } from 'graphql';
import { describe, expect, it } from 'vitest';
import { findCompilable } from '../../src/server/graphql/compilable.js';

const selections = (document: string) => findCompilable(parse(document))?.selections ?? null;

describe('findCompilable', () => {
  it.each([
    ['a query', '{ viewer { id } }', 2],
    ['variables', 'query ($first: Int!, $type: RoomType) { rooms(first: $first, type: $type) { id } }', 2],
    ['numbers, booleans and enums', '{ rooms(first: 50, type: GROUP) { members(includeLeft: true) { id } } }', 3],
    ['aliases and type names', '{ mine: viewer { __typename userId: id } }', 3],
    ['a fragment, as often as it is spread', '{ viewer { ...A ...A } } fragment A on User { id name }', 7],
    ['inline fragments', 'subscription ($r: ID!) { roomEvents(roomId: $r) { ... on RoomReady { seq } } }', 3],
    ['one change', 'mutation ($i: SendMessageInput!) { sendMessage(input: $i) { duplicate } }', 2],
    ['a name of 64 letters', `{ ${'a'.repeat(64)}: viewer { id } }`, 2],
  ])('lets %s through', (_what, document, count) => {
    expect(selections(document)).toBe(count);
  });

  it.each([
    ['text', '{ room(id: "x") { id } }'],
    ['text in a block', '{ room(id: """x""") { id } }'],
    ['text in a default', 'query ($id: ID = "x") { room(id: $id) { id } }'],
    ['any default', 'query ($n: Int = 1) { rooms(first: $n) { edges { cursor } } }'],
    ['a fraction', '{ rooms(first: 1.5) { edges { cursor } } }'],
    ['null', '{ rooms(after: null) { edges { cursor } } }'],
    ['a list', '{ users(ids: [1, 2]) { id } }'],
    ['an object', 'mutation ($r: ID!) { leaveRoom(input: { roomId: $r }) { roomId } }'],
    ['a condition on a field', 'query ($x: Boolean!) { viewer { id @include(if: $x) } }'],
    ['a condition on a fragment', 'query ($x: Boolean!) { viewer { ...A @skip(if: $x) } } fragment A on User { id }'],
    ['two operations', 'query A { viewer { id } } query B { viewer { name } }'],
    ['no operation', 'fragment A on User { id }'],
    [
      'two changes',
      'mutation ($i: I!, $j: J!) { renameRoom(input: $i) { room { id } } leaveRoom(input: $j) { roomId } }',
    ],
    ['changes in a fragment', 'mutation ($i: I!) { ...M } fragment M on Mutation { leaveRoom(input: $i) { roomId } }'],
    ['introspection', '{ __schema { types { name } } }'],
    ['a name that JavaScript knows', '{ __proto__: viewer { id } }'],
    ['a name of 65 letters', `{ ${'a'.repeat(65)}: viewer { id } }`],
    ['a variable of 65 letters', `query ($${'a'.repeat(65)}: ID!) { room(id: $${'a'.repeat(65)}) { id } }`],
    ['an underscore in an alias', '{ x_y: viewer { id } y: viewer { x: id } }'],
    ['more than a thousand fields', `{ viewer { ${'id '.repeat(1_000)}} }`],
    [
      'fragments that double each other',
      `{ viewer { ...F0 } } ${Array.from({ length: 40 }, (_, at) => `fragment F${at} on User { ...F${at + 1} ...F${at + 1} }`).join(' ')} fragment F40 on User { id }`,
    ],
  ])('leaves %s to graphql', (_what, document) => {
    expect(selections(document)).toBeNull();
  });
});
