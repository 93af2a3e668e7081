import {
  buildSchema,
  type DocumentNode,
  defaultFieldResolver,
  type ExecutionArgs,
  type ExecutionResult,
  getNamedType,
  isInputObjectType,
  isObjectType,
  type OperationDefinitionNode,
  parse,
} from 'graphql';
import { describe, expect, it } from 'vitest';
import { ChatError } from '../../src/domain/errors.js';
import { schema as ownSchema } from '../../src/schema/index.js';
import { compileOperations, findCompiled } from '../../src/server/graphql/documents/compiled-operations.js';
import { execute } from '../../src/server/graphql/execute.js';

const schema = buildSchema(`
  type Query {
    rooms(first: Int! = 2, type: RoomType): [Room!]!
    some(first: Int = 2): [Room!]!
    called(name: String): Room
    room: Room
    broken: Room
    must: Room!
    numbers(all: [Float], of: Range): String!
    things: [Thing!]!
  }
  type Mutation { add(by: Int!): Int! fail(by: Int!): Int! }
  input Filter { name: String! marks: [String!] }
  input Range { from: Float to: Int }
  interface Thing { id: ID! }
  enum RoomType { DIRECT GROUP }
  type Room implements Thing { id: ID! title(filter: Filter): String! secret: String later: Int! members: [Member!]! }
  type Member implements Thing { id: ID! }
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
    numbers: (args: unknown) => JSON.stringify(args),
    things: [
      { __typename: 'Room', ...room(1) },
      { __typename: 'Member', id: 'a' },
    ],
    add: async ({ by }: { by: number }) => {
      sum += by;
      return sum;
    },
  };
};

/** Executes the query twice: interpreted, and as a registered document. */
function executeTwice(query: string, rest: Partial<ExecutionArgs> = {}) {
  const run = (document: DocumentNode) =>
    execute({ schema, document, contextValue, rootValue: rootValue(), ...rest } as ExecutionArgs);
  const registered = parse(query);
  const interpreted = compileOperations(schema, registered).length;
  return { first: run(parse(query)), second: run(registered), isCompiled: interpreted === 0 };
}

describe('the execution of a registered document', () => {
  it.each<[string, string, Record<string, unknown>?]>([
    ['lists and promises', '{ rooms { id title later members { id } } room { id } }'],
    [
      'aliases and fragments',
      '{ a: rooms(first: 1) { ...R } b: rooms(first: 3) { ...R x: id } } fragment R on Room { id __typename }',
    ],
    ['a refusal in a field that may be null', '{ rooms { id secret } }'],
    ['a refusal in a required promise', '{ broken { id later } rooms { id } }'],
    ['null in a required field', '{ rooms { id } must { id } }'],
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
    ['lists and objects of numbers', '{ numbers(all: [1, 2], of: { from: 3, to: null }) rooms { id } }'],
    ['numbers beyond the safe integers', '{ numbers(all: [9007199254740993, -0], of: { from: 1e400 }) }'],
    ['null as an argument', '{ some(first: null) { id } }'],
    ['a type with several forms', '{ things { __typename id ... on Room { title } ... on Member { x: id } } }'],
    ['one field asked for twice', '{ rooms { members { id } } rooms { members { __typename } } }'],
    ['mutations one after the other', 'mutation { a: add(by: 1) b: add(by: 10) c: add(by: 100) }'],
    ['a variable of another type', 'query ($n: Int!) { rooms(first: $n) { id } }', { n: 'many' }],
    ['a variable that is missing', 'query ($n: Int!) { rooms(first: $n) { id } }', {}],
    ['a field that the input does not have', 'query ($f: Filter) { rooms { title(filter: $f) } }', { f: { nam: '!' } }],
    ['a value nested too deep', 'query ($f: Filter) { rooms { title(filter: $f) } }', { f: nested(40_000) }],
  ])('returns the same as graphql for %s', async (_what, query, variableValues) => {
    const { first, second } = executeTwice(query, { variableValues: variableValues ?? null });
    expect(tell(await second)).toEqual(tell(await first));
  });

  it.each([
    ['a query', '{ rooms { id } }'],
    ['variables', 'query ($n: Int!, $t: RoomType) { rooms(first: $n, type: $t) { id } }'],
    ['numbers, booleans and enums', '{ rooms(first: 50, type: GROUP) { id } }'],
    ['aliases and type names', '{ mine: rooms { __typename roomId: id } }'],
    ['fragments', '{ rooms { ...A ... on Room { later } ...A } } fragment A on Room { id }'],
    ['one change', 'mutation ($by: Int!) { add(by: $by) }'],
    ['two operations', 'query A { rooms { id } } mutation B { add(by: 1) }'],
  ])('is compiled with %s', (_what, query) => {
    expect(compileOperations(schema, parse(query))).toEqual([]);
  });

  it.each([
    ['text', '{ called(name: "x") { id } }'],
    ['text in a block', '{ called(name: """x""") { id } }'],
    ['a default', 'query ($n: Int = 1) { rooms(first: $n) { id } }'],
    ['a condition', 'query ($x: Boolean!) { rooms { id @include(if: $x) } }'],
    ['two changes', 'mutation { a: add(by: 1) b: add(by: 2) }'],
    ['changes in a fragment', 'mutation { ...M } fragment M on Mutation { add(by: 1) }'],
    ['introspection', '{ __schema { types { name } } }'],
    ['a name that JavaScript knows', '{ __proto__: rooms { id } }'],
    ['an underscore in an alias', '{ x_y: rooms { id } y: rooms { x: id } }'],
  ])('is interpreted with %s', (_what, query) => {
    const document = parse(query);
    expect(compileOperations(schema, document)).toEqual([document.definitions[0]]);
  });

  it('compiles one operation beside another that is interpreted', () => {
    const document = parse(
      'query A { rooms { ...R } } query B { called(name: "x") { ...R } } fragment R on Room { id }',
    );
    expect(compileOperations(schema, document).map(({ name }) => name?.value)).toEqual(['B']);
    const [a, b] = document.definitions as OperationDefinitionNode[];
    expect([findCompiled(a as OperationDefinitionNode), findCompiled(b as OperationDefinitionNode)]).toEqual([
      expect.any(Function),
      undefined,
    ]);
  });

  it('keeps the operations of one document apart', async () => {
    const query = 'query A { rooms(first: 1) { id } } query B { rooms(first: 2) { id } }';
    for (const [operationName, count] of [
      ['A', 1],
      ['B', 2],
    ] as const) {
      const { data } = await executeTwice(query, { operationName }).second;
      expect((data as { rooms: unknown[] }).rooms).toHaveLength(count);
    }
    for (const operationName of ['C', undefined]) {
      const { first, second } = executeTwice(query, { operationName: operationName ?? null });
      expect(tell(await second)).toEqual(tell(await first));
    }
  });

  it('skips the second change if the first failed', async () => {
    let added = 0;
    const rootValue = {
      fail: () => {
        throw new ChatError('FORBIDDEN', 'Not you');
      },
      add: () => {
        added += 1;
        return added;
      },
    };
    const { first, second } = executeTwice('mutation ($by: Int!) { fail(by: $by) add(by: $by) }', {
      rootValue,
      variableValues: { by: 1 },
    });
    await Promise.all([first, second]);
    expect(added).toBe(0);
  });
});

// Every level of a recursive input would be compiled, without an end.
it('finds no input within another input to compile', () => {
  const inputs = Object.values(ownSchema.getTypeMap()).filter(isInputObjectType);
  const inner = inputs.flatMap((type) => Object.values(type.getFields()).map(({ type: of }) => getNamedType(of)));
  expect(inputs.length).toBeGreaterThan(5);
  expect(inner.filter(isInputObjectType)).toEqual([]);
});

it('interprets the documents of clients, however often they are sent', async () => {
  const document = parse('{ rooms { id } }');
  const [operation] = document.definitions as OperationDefinitionNode[];
  for (let times = 0; times < 3; times += 1) {
    await execute({ schema, document, contextValue, rootValue: rootValue() });
    expect(findCompiled(operation as OperationDefinitionNode)).toBeUndefined();
  }
});

it('refuses an answer with too long texts before it is printed, but still executes the mutation', async () => {
  const deps = { limits: { maxComplexity: Number.POSITIVE_INFINITY, maxAnswerBytes: 10 } };
  const answer = async (query: string, contextValue: object) =>
    execute({
      schema,
      document: parse(query),
      rootValue: rootValue(),
      contextValue: { viewer: {}, deps, ...contextValue },
    });
  const writing = { add: ({ by }: { by: number }, context: { textLength?: number }) => (context.textLength = by) };
  const refused = {
    data: null,
    errors: [{ message: expect.stringContaining('larger than 10 bytes'), originalError: { code: 'BAD_USER_INPUT' } }],
  };
  expect(await answer('{ room { id } }', { textLength: 11 })).toMatchObject(refused);
  expect(await answer('{ room { id } }', { textLength: 10 })).toEqual({ data: { room: null } });
  const document = parse('mutation { add(by: 11) }');
  const contextValue = { viewer: {}, deps };
  expect(await execute({ schema, document, rootValue: writing, contextValue })).toMatchObject(refused);
  expect(contextValue).toMatchObject({ textLength: 11 });
});

const contextValue = {
  viewer: {},
  deps: { limits: { maxComplexity: Number.POSITIVE_INFINITY, maxAnswerBytes: Number.POSITIVE_INFINITY } },
};

const nested = (depth: number): unknown => {
  let value: unknown = 'bottom';
  for (let level = 0; level < depth; level += 1) value = [value];
  return value;
};

/** The result with the parts of its errors that a client sees, and whether they have a cause. */
const tell = ({ data, errors }: ExecutionResult) => ({
  data: data === undefined ? undefined : JSON.parse(JSON.stringify(data)),
  errors: errors?.map(({ message, path, originalError, locations }) => ({
    message,
    path,
    code: originalError instanceof ChatError ? originalError.code : undefined,
    hasCause: originalError !== undefined,
    locations,
  })),
});
