import { type GraphQLObjectType, GraphQLString } from 'graphql';
import { expect, it } from 'vitest';
import { schema } from '../../src/schema/index.js';

it('counts a long content as it is printed, with its escapes', () => {
  const { content } = (schema.getType('Message') as GraphQLObjectType).getFields();
  const context = { textLength: 0 };
  const read = (text: string | null) => content?.resolve?.({ content: text }, {}, context, {} as never);
  expect(content?.type).toBe(GraphQLString);
  expect(read('hello')).toBe('hello');
  expect(read(null)).toBeNull();
  expect(context.textLength).toBe(5);
  const escaped = '\u0001'.repeat(1_000);
  expect(read(escaped)).toBe(escaped);
  expect(context.textLength).toBe(5 + JSON.stringify(escaped).length - 2);
});
