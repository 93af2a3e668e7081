import { complexityFromQuery } from '@pothos/plugin-complexity';
import {
  type ExecutionArgs,
  type GraphQLField,
  GraphQLList,
  getNullableType,
  isObjectType,
  OperationTypeNode,
  parse,
} from 'graphql';
import { describe, expect, it } from 'vitest';
import type { Limits } from '../../src/resolvers/deps.js';
import type { Context } from '../../src/schema/builder.js';
import { assertSmallEvents, findTooLargeAnswer, mostComplexityOf } from '../../src/schema/complexity.js';
import { schema } from '../../src/schema/index.js';
import { maxPriceOf, unpagedLists } from '../../src/schema/price.js';

const contextOf = (limits: Partial<Limits> = {}) =>
  ({
    deps: { limits: { maxComplexity: 20_000, maxEventComplexity: 500, maxRoomMembers: 500, ...limits } },
    viewer: null,
    isBehind: () => false,
  }) as unknown as Context;
const argsOf = (text: string, variableValues = {}, contextValue = contextOf()): ExecutionArgs => ({
  schema,
  document: parse(text),
  variableValues,
  contextValue,
});

describe('every list in the schema', () => {
  const isList = ({ type }: GraphQLField<unknown, unknown>) => getNullableType(type) instanceof GraphQLList;
  const types = Object.values(schema.getTypeMap())
    .filter(isObjectType)
    .filter(({ name }) => !name.startsWith('__'));
  const lists = types.flatMap((type) =>
    Object.values(type.getFields())
      .filter(isList)
      .map((field) => ({ name: `${type.name}.${field.name}`, field })),
  );

  it('is paid for by what is asked for, by its connection, or by what it holds', () => {
    const isPaged = ({ extensions }: GraphQLField<unknown, unknown>) => typeof extensions['complexity'] === 'function';
    const others = lists.filter(({ name, field }) => !isPaged(field) && !name.endsWith('Connection.edges'));
    expect(lists.length).toBeGreaterThan(others.length + 4);
    expect(others.map(({ name }) => name).sort()).toEqual([...unpagedLists].sort());
  });

  it('has whoever resolves it pay before it is loaded, where only that knows how long it is', () => {
    for (const { name, field } of lists.filter((list) => unpagedLists.has(list.name))) {
      const { resolve } = field.extensions['pothosOptions'] as { resolve: unknown };
      expect(String(resolve), name).toContain('affordable');
    }
  });
});

describe('a price', () => {
  const fragments = 'fragment R on Room { ...M lastMessage { ...C } } fragment M on Room { members { user { name } } }';
  it.each([
    ['fields', '{ viewer { id name presence { status } } limits { maxPageSize } __typename }', {}],
    ['lists', '{ rooms(first: 7) { edges { node { members { user { id } } typing { id name } } } } }', {}],
    ['pages by default and by variables', 'query ($n: Int) { rooms(first: $n) { edges { cursor } } }', {}],
    ['pages by variables', 'query ($n: Int) { rooms(first: $n) { edges { cursor } } }', { n: 33 }],
    [
      'fragments that are spread twice',
      `{ a: rooms(first: 3) { edges { node { ...R } } } rooms(first: 2) { edges { node { ...R } } } }
       ${fragments} fragment C on Message { content ... on Message { readBy { readAt } } }`,
      {},
    ],
    ['what is skipped', '{ viewer @skip(if: true) { id name } }', {}],
    [
      'events of every kind',
      `subscription { roomEvents(roomId: "x") { seq __typename ... on MessageAdded { message { content system { users { id } } } }
       ... on MemberRead { member { user { name } } } } }`,
      {},
    ],
  ])('is what the plugin counts before anything is executed: %s', (_what, text, variables) => {
    const args = argsOf(text, variables, contextOf({ maxEventComplexity: 0, maxRoomMembers: 10 }));
    const { complexity } = complexityFromQuery(args.document, {
      schema,
      ctx: args.contextValue as object,
      variables,
    });
    expect(complexity).toBeGreaterThan(1);
    expect(mostComplexityOf(args)).toBe(complexity);
    expect(() => assertSmallEvents(args)).toThrow(`may touch ${complexity} fields`);
  });

  it('of what may be held is by the largest room', () => {
    const members = 'subscription { messageAdded(roomId: "x") { room { members { user { name } } } } }';
    expect(mostComplexityOf(argsOf(members))).toBe(3 + 500 * 2 + 490);
  });

  it('leaves room for all members with a few fields of each, however large rooms may be', () => {
    const [small, large] = [contextOf(), contextOf({ maxRoomMembers: 10_000 })];
    expect(maxPriceOf(OperationTypeNode.QUERY, small)).toBe(20_000);
    expect(maxPriceOf(OperationTypeNode.SUBSCRIPTION, small)).toBe(2_500);
    expect(maxPriceOf(OperationTypeNode.QUERY, large)).toBe(50_000);
  });
});

describe('a mutation', () => {
  const invite = (fields: string) =>
    argsOf(
      `mutation ($n: Int = 5) { inviteMembers(input: { roomId: "x", userIds: ["5"] }) { room { id ${fields} } } }`,
    );
  it('is refused before it is done, where its answer could be too large to be given', () => {
    const many = Array.from({ length: 50 }, (_, index) => `a${index}: lastReadSeq`).join(' ');
    expect(findTooLargeAnswer(invite(`members { ${many} }`))?.originalError).toMatchObject({
      code: 'BAD_USER_INPUT',
      message: expect.stringMatching(/may touch 25\d\d\d fields.*at most 20000.*memberPage/),
    });
    expect(findTooLargeAnswer(invite('members { id user { id name } isAdmin joinedAt lastReadSeq }'))).toBeNull();
    expect(findTooLargeAnswer(invite(`memberPage(first: $n) { edges { node { ${many} } } }`))).toBeNull();
    expect(findTooLargeAnswer(argsOf(`{ rooms(first: 100) { edges { node { members { id } } } } }`))).toBeNull();
  });
});
