import { buildSchema, type ExecutionArgs, parse } from 'graphql';
import { describe, expect, it } from 'vitest';
import { ChatError } from '../../src/domain/errors.js';
import { createExecute } from '../../src/server/execute.js';

const schema = buildSchema(`
  type Query { rooms(first: Int! = 2, type: RoomType): [Room!]! room: Room broken: Room must: Room! }
  type Mutation { add(by: Int!): Int! }
  input Filter { name: String! deep: Filter }
  enum RoomType { DIRECT GROUP }
  type Room { id: ID! title(filter: Filter): String! secret: String later: Int! members: [Member!]! }
  type Member { id: ID! }
`);

const room = (id: number) => ({
  id,
  title: ({ filter }: { filter?: { name: string } }) => `room ${id}${filter?.name ?? ''}`,
  secret: () => {
    throw new ChatError('FORBIDDEN', 'Not yours');
  },
  later: async () => id * 10,
  members: [{ id: 'a' }, { id: 'b' }],
});
const rootValue = () => {
  let sum = 0;
  return {
    rooms: ({ first, type }: { first: number; type?: string }) =>
      Array.from({ length: first }, (_, id) => room(type === 'GROUP' ? id + 100 : id)),
    room: null,
    broken: { ...room(1), later: () => Promise.reject(new ChatError('NOT_FOUND', 'Gone')) },
    must: null,
    add: async ({ by }: { by: number }) => {
      sum += by;
      return sum;
    },
  };
};

describe('the execution of a document that comes again', () => {
  it.each<[string, string, Record<string, unknown>?]>([
    ['lists and promises', '{ rooms { id title later members { id } } room { id } }'],
    [
      'aliases and fragments',
      '{ a: rooms(first: 1) { ...R } b: rooms(first: 3) { ...R x: id } } fragment R on Room { id __typename }',
    ],
    ['a refusal in a field that may be null', '{ rooms { id secret } }'],
    ['a refusal in a promise that must be there', '{ broken { id later } rooms { id } }'],
    ['nothing where something must be', '{ rooms { id } must { id } }'],
    [
      'variables and their defaults',
      'query ($n: Int! = 1, $t: RoomType) { rooms(first: $n, type: $t) { id } }',
      { t: 'GROUP' },
    ],
    ['input objects', 'query ($f: Filter) { rooms { title(filter: $f) } }', { f: { name: '!', deep: { name: '?' } } }],
    [
      'fields that are left out',
      'query ($no: Boolean!) { rooms { id later @skip(if: $no) title @include(if: $no) } }',
      { no: true },
    ],
    ['mutations one after the other', 'mutation { a: add(by: 1) b: add(by: 10) c: add(by: 100) }'],
    ['a variable of another type', 'query ($n: Int!) { rooms(first: $n) { id } }', { n: 'many' }],
    ['a variable that is missing', 'query ($n: Int!) { rooms(first: $n) { id } }', {}],
    ['a field that the input does not have', 'query ($f: Filter) { rooms { title(filter: $f) } }', { f: { nam: '!' } }],
    ['a value nested too deep', 'query ($f: Filter) { rooms { title(filter: $f) } }', { f: nested(40_000) }],
  ])('says of %s what it said the first time', async (_what, query, variableValues) => {
    const execute = createExecute();
    const document = parse(query);
    const run = async () =>
      tell(await execute({ schema, document, rootValue: rootValue(), variableValues } as ExecutionArgs));
    const first = await run();
    expect([await run(), await run()]).toEqual([first, first]);
  });

  it('keeps the operations of one document apart', async () => {
    const execute = createExecute();
    const document = parse('query A { rooms(first: 1) { id } } query B { rooms(first: 2) { id } }');
    for (let times = 0; times < 3; times += 1) {
      for (const [operationName, count] of [
        ['A', 1],
        ['B', 2],
      ] as const) {
        const { data } = await execute({ schema, document, operationName, rootValue: rootValue() });
        expect((data as { rooms: unknown[] }).rooms).toHaveLength(count);
      }
    }
  });
});

const nested = (depth: number): unknown => {
  let value: unknown = 'bottom';
  for (let level = 0; level < depth; level += 1) value = [value];
  return value;
};

/** With what a client sees of an error, and whose it is. */
const tell = ({ data, errors }: Awaited<ReturnType<ReturnType<typeof createExecute>>>) => ({
  data: data === undefined ? undefined : JSON.parse(JSON.stringify(data)),
  errors: errors?.map(({ message, path, originalError }) => ({
    message,
    path,
    code: originalError instanceof ChatError ? originalError.code : undefined,
  })),
});
