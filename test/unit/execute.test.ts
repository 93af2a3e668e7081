import {
  buildSchema,
  defaultFieldResolver,
  type ExecutionArgs,
  getNamedType,
  isInputObjectType,
  isObjectType,
  parse,
} from 'graphql';
import { compileQuery } from 'graphql-jit';
import { describe, expect, it, vi } from 'vitest';
import { ChatError } from '../../src/domain/errors.js';
import { schema as ownSchema } from '../../src/schema/index.js';
import { createExecute } from '../../src/server/graphql/execute.js';

vi.mock('graphql-jit', { spy: true });

const schema = buildSchema(`
  type Query {
    rooms(first: Int! = 2, type: RoomType): [Room!]!
    some(first: Int = 2): [Room!]!
    called(name: String): Room
    room: Room
    broken: Room
    must: Room!
  }
  type Mutation { add(by: Int!): Int! fail(by: Int!): Int! }
  input Filter { name: String! marks: [String!] }
  enum RoomType { DIRECT GROUP }
  type Room { id: ID! title(filter: Filter): String! secret: String later: Int! members: [Member!]! }
  type Member { id: ID! }
`);

// As in the server's own schema, where every field has a resolver.
for (const type of Object.values(schema.getTypeMap())) {
  if (!isObjectType(type) || type.name.startsWith('__')) continue;
  for (const field of Object.values(type.getFields())) field.resolve = defaultFieldResolver;
}

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
    some: ({ first }: { first: number | null }) => Array.from({ length: first ?? 5 }, (_, id) => room(id)),
    called: ({ name }: { name: string }) => room(name.length),
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
    ['input objects', 'query ($f: Filter) { rooms { title(filter: $f) } }', { f: { name: '!', marks: ['?'] } }],
    [
      'fields that are left out',
      'query ($no: Boolean!) { rooms { id later @skip(if: $no) title @include(if: $no) } }',
      { no: true },
    ],
    [
      'fragments that are left out in one place',
      'query ($x: Boolean!) { a: rooms { ...R @include(if: $x) ...R } b: rooms { ...R @skip(if: $x) } c: rooms { ...R } } fragment R on Room { id }',
      { x: false },
    ],
    ['names that mean something in JavaScript', '{ __proto__: rooms { id } constructor: rooms { toString: id } }'],
    ['no variable where there is a default', 'query ($n: Int) { some(first: $n) { id } }', {}],
    ['null where there is a default', 'query ($n: Int) { some(first: $n) { id } }', { n: null }],
    ['null where it must not be', 'query ($n: Int) { rooms(first: $n) { id } }', { n: null }],
    ['null where a variable has a default', 'query ($n: Int = 1) { rooms(first: $n) { id } }', { n: null }],
    ['variables that are called like properties', 'query ($constructor: Int) { some(first: $constructor) { id } }', {}],
    ['errors on several lines', '{\n  rooms {\r\n    id\n\n    secret\n  }\n}'],
    ['text', '{ called(name: "kim") { id } }'],
    ['mutations one after the other', 'mutation { a: add(by: 1) b: add(by: 10) c: add(by: 100) }'],
    ['a variable of another type', 'query ($n: Int!) { rooms(first: $n) { id } }', { n: 'many' }],
    ['a variable that is missing', 'query ($n: Int!) { rooms(first: $n) { id } }', {}],
    ['a field that the input does not have', 'query ($f: Filter) { rooms { title(filter: $f) } }', { f: { nam: '!' } }],
    ['a value nested too deep', 'query ($f: Filter) { rooms { title(filter: $f) } }', { f: nested(40_000) }],
  ])('says of %s what it said the first time', async (_what, query, variableValues) => {
    const execute = createExecute();
    const document = parse(query);
    const run = async () =>
      tell(await execute({ schema, document, contextValue, rootValue: rootValue(), variableValues } as ExecutionArgs));
    const first = await run();
    expect([await run(), await run()]).toEqual([first, first]);
  });

  it('is compiled once, and for nobody who has not signed in', async () => {
    const execute = createExecute();
    const document = parse('{ rooms { id } }');
    const run = (viewer: unknown) =>
      execute({ schema, document, contextValue: { ...contextValue, viewer }, rootValue: rootValue() });
    vi.mocked(compileQuery).mockClear();
    for (let times = 0; times < 3; times += 1) await run(null);
    expect(compileQuery).not.toHaveBeenCalled();
    for (let times = 0; times < 3; times += 1) await run({ userId: 4 });
    expect(compileQuery).toHaveBeenCalledTimes(1);
  });

  it('keeps the operations of one document apart', async () => {
    const execute = createExecute();
    const document = parse('query A { rooms(first: 1) { id } } query B { rooms(first: 2) { id } }');
    for (let times = 0; times < 3; times += 1) {
      for (const [operationName, count] of [
        ['A', 1],
        ['B', 2],
      ] as const) {
        const { data } = await execute({ schema, document, contextValue, operationName, rootValue: rootValue() });
        expect((data as { rooms: unknown[] }).rooms).toHaveLength(count);
      }
    }
  });
});

describe('a document that is made to do harm', () => {
  // Each level of one that holds itself would be written out, for seconds.
  it('finds no input in an input to compile', () => {
    const inputs = Object.values(ownSchema.getTypeMap()).filter(isInputObjectType);
    const inner = inputs.flatMap((type) => Object.values(type.getFields()).map(({ type: of }) => getNamedType(of)));
    expect(inputs.length).toBeGreaterThan(5);
    expect(inner.filter(isInputObjectType)).toEqual([]);
  });

  const magic = '__MAGIC_DATE__33a9e76d_02e0_4128_8e92_3530ad3da74dglobalThis.harm=1';

  it.each([
    ['an argument', `{ called(name: "${magic}") { id } }`],
    ['an argument as a block', `{ called(name: """${magic}""") { id } }`],
    ['an argument with escapes', `{ called(name: "${magic.replaceAll('_', '\\u005f')}") { id } }`],
    ['a default', `query ($n: String = "${magic}") { called(name: $n) { id } }`],
    ['an input object', `{ rooms { title(filter: { name: "${magic}" }) } }`],
  ])('is no code, with text in %s', async (_where, query) => {
    const execute = createExecute();
    const document = parse(query);
    for (let times = 0; times < 3; times += 1) {
      const { errors } = await execute({ schema, document, contextValue, rootValue: rootValue() });
      expect(errors).toBeUndefined();
    }
    expect(globalThis).not.toHaveProperty('harm');
  });

  it('takes no longer than it does to read it, with fragments that double forty times', async () => {
    const execute = createExecute();
    const steps = Array.from({ length: 40 }, (_, at) => `fragment F${at} on Room { ...F${at + 1} ...F${at + 1} }`);
    const document = parse(`{ room { ...F0 } } ${steps.join(' ')} fragment F40 on Room { id }`);
    for (let times = 0; times < 3; times += 1) {
      expect(await execute({ schema, document, contextValue, rootValue: rootValue() })).toEqual({
        data: { room: null },
      });
    }
  });

  it('does no second change where the first failed, the first time or later', async () => {
    const execute = createExecute();
    const document = parse('mutation ($by: Int!) { fail(by: $by) add(by: $by) }');
    let added = 0;
    const root = {
      fail: () => {
        throw new ChatError('FORBIDDEN', 'Not you');
      },
      add: () => {
        added += 1;
        return added;
      },
    };
    for (let times = 0; times < 3; times += 1) {
      await execute({ schema, document, contextValue, rootValue: root, variableValues: { by: 1 } });
    }
    expect(added).toBe(0);
  });

  it('grows nothing with a name of 200,000 characters above a thousand fields', async () => {
    const execute = createExecute();
    const fields = Array.from({ length: 400 }, (_, at) => `x${at}: id`).join(' ');
    const document = parse(`{ ${'a'.repeat(200_000)}: rooms { ${fields} } }`);
    const before = process.memoryUsage().heapUsed;
    for (let times = 0; times < 3; times += 1) {
      await execute({ schema, document, contextValue, rootValue: rootValue() });
    }
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(50_000_000);
  });

  it('is not remembered by the operations that it does not have', async () => {
    const execute = createExecute();
    const document = parse('query A { rooms { id } }');
    for (let times = 0; times < 3; times += 1) {
      const args = { schema, document, contextValue, operationName: 'B', rootValue: rootValue() };
      expect((await execute(args)).errors?.[0]?.message).toBe('Unknown operation named "B".');
    }
  });
});

const contextValue = { viewer: {}, deps: { limits: { maxComplexity: Number.POSITIVE_INFINITY } } };

const nested = (depth: number): unknown => {
  let value: unknown = 'bottom';
  for (let level = 0; level < depth; level += 1) value = [value];
  return value;
};

/** With what a client sees of an error, and whose it is. */
const tell = ({ data, errors }: Awaited<ReturnType<ReturnType<typeof createExecute>>>) => ({
  data: data === undefined ? undefined : JSON.parse(JSON.stringify(data)),
  errors: errors?.map(({ message, path, originalError, locations }) => ({
    message,
    path,
    code: originalError instanceof ChatError ? originalError.code : undefined,
    hasCause: originalError !== undefined,
    locations,
  })),
});
