import { GraphQLID, GraphQLObjectType, GraphQLSchema, parse } from 'graphql';
import { describe, expect, it } from 'vitest';
import { schema } from '../../src/schema/index.js';
import { findWhatEventsDependOn } from '../../src/schema/of-viewer.js';
import { createEventTurns, EventExecutions } from '../../src/server/graphql/event-executions.js';
import { execute } from '../../src/server/graphql/execute.js';

describe('findWhatEventsDependOn', () => {
  const inRoom = (selection: string, more = '', variables = '$roomId: ID!, $afterSeq: Int') =>
    parse(`subscription S(${variables}) { roomEvents(roomId: $roomId, afterSeq: $afterSeq) { ${selection} } } ${more}`);

  it.each([
    ['fields that are the same for all', 'seq ... on MessageAdded { message { id content sender { id name } } }', ''],
    ['a fragment of such fields', '...F', 'fragment F on MessageAdded { message { system { users { name } } } }'],
    ["somebody's read mark", '... on MemberRead { member { lastReadSeq user { name } } }', ''],
    ['the read marks of several members', '... on MembersRead { members { lastReadSeq user { name } } }', ''],
  ])('shares %s', (_what, selection, more) => {
    expect(findWhatEventsDependOn(schema, inRoom(selection, more))).toEqual({ viewer: false, variables: [] });
  });

  it.each([
    ['a title', '... on MessageAdded { message { room { title } } }', ''],
    ['a presence', '... on MessageAdded { message { sender { presence { status } } } }', ''],
    ['readers', '... on MessageAdded { message { readCount } }', ''],
    ['readers in a fragment', '...F', 'fragment F on MessageAdded { message { readBy { readAt } } }'],
  ])('does not share %s', (_what, selection, more) => {
    expect(findWhatEventsDependOn(schema, inRoom(selection, more)).viewer).toBe(true);
  });

  it('distinguishes the variables of the selection, but not the start of the subscription', () => {
    const variables = '$roomId: ID!, $afterSeq: Int, $withText: Boolean!';
    const document = inRoom('seq ... on MessageAdded @include(if: $withText) { message { content } }', '', variables);

    expect(findWhatEventsDependOn(schema, document)).toEqual({ viewer: false, variables: ['withText'] });
  });
});

describe('the execution of a shared event', () => {
  it('fails a field that reads the viewer, so that data for one viewer is never shared', async () => {
    const schema = new GraphQLSchema({
      query: new GraphQLObjectType({ name: 'Query', fields: { id: { type: GraphQLID } } }),
      subscription: new GraphQLObjectType({
        name: 'Subscription',
        fields: { mine: { type: GraphQLID, resolve: (_event, _args, { viewer }) => viewer.userId } },
      }),
    });
    const deps = { limits: { maxEventComplexity: 1_000, maxComplexity: 1_000, maxRoomMembers: 10 } };
    const contextValue = { deps, viewer: { userId: 4 } };
    const args = { schema, document: parse('subscription { mine }'), contextValue };
    const executions = new EventExecutions(execute, createEventTurns({ complexityPerMinute: 1_000_000 }));

    const shared = await executions.share(args, {}, 'key').settled;
    const own = await executions.execute(args, {});

    expect(shared.errors?.[0]?.message).toMatch('mark the field with ofViewer');
    expect(own).toEqual({ data: { mine: '4' } });
  });
});
