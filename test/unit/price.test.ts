import { MapperKind, mapSchema } from '@graphql-tools/utils';
import { complexityFromQuery } from '@pothos/plugin-complexity';
import {
  type DocumentNode,
  type ExecutionArgs,
  type GraphQLField,
  type GraphQLInterfaceType,
  GraphQLList,
  type GraphQLObjectType,
  getNamedType,
  getNullableType,
  isCompositeType,
  isInterfaceType,
  isObjectType,
  isRequiredArgument,
  Kind,
  OperationTypeNode,
  parse,
  TypeInfo,
  validate,
  visit,
  visitWithTypeInfo,
} from 'graphql';
import { describe, expect, it } from 'vitest';
import type { Limits } from '../../src/resolvers/deps.js';
import { findBadArgument } from '../../src/schema/checked.js';
import {
  assertSmallEvents,
  complexityOf,
  findTooLargeAnswer,
  findTooManyFields,
  mostComplexityOf,
} from '../../src/schema/complexity.js';
import type { Context } from '../../src/schema/context.js';
import { schema } from '../../src/schema/index.js';
import { boundedLists, maxPriceOf, prepaidEntries, priceOfEntry, unpagedLists } from '../../src/schema/price.js';
import { type Random, useRandom } from '../support/random.js';

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

  it('is paid for by the requested size, by its connection, or by its entries', () => {
    const isPaged = ({ extensions }: GraphQLField<unknown, unknown>) => typeof extensions['complexity'] === 'function';
    const others = lists.filter(({ name, field }) => !isPaged(field) && !name.endsWith('Connection.edges'));
    expect(lists.length).toBeGreaterThan(others.length + 4);
    expect(others.map(({ name }) => name).sort()).toEqual([...unpagedLists.keys()].sort());
  });

  it('is paid for by its resolver before it is loaded, if only the resolver knows its length', () => {
    // Short ones are paid for already, and values without fields cost nothing.
    const isKnown = ({ name, field }: (typeof lists)[number]) =>
      boundedLists.has(name) || !isCompositeType(getNamedType(field.type));
    for (const { name, field } of lists.filter((list) => unpagedLists.has(list.name) && !isKnown(list))) {
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
    ['skipped fields', '{ viewer @skip(if: true) { id name } }', {}],
    [
      'events of one kind',
      `subscription { roomEvents(roomId: "x") { seq __typename ... on MessageAdded { message { content system { users { id } } } }
       ... on RoomEvent { epoch } ...A } } fragment A on MessageAdded { edge { cursor } }`,
      {},
    ],
  ])('is known before anything is executed, and equals the count of the plugin: %s', (_what, text, variables) => {
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

  it('equals the count of the plugin for random documents, with any variables', () => {
    const random = useRandom();
    const largest = 37;
    const schemaOfLargest = withEntries(largest);
    for (let round = 0; round < 100; round += 1) {
      const text = randomDocument(random);
      const document = parse(text);
      expect(validate(schema, document), text).toEqual([]);
      for (const n of [null, 0, random.between(-5, 100)]) {
        const variables = n === null ? {} : { n };
        const args = { ...argsOf('{ __typename }', variables, contextOf({ maxRoomMembers: largest })), document };
        const count = (priced: typeof schema) =>
          complexityFromQuery(document, { schema: priced, ctx: {}, variables }).complexity;
        expect([complexityOf(args), mostComplexityOf(args)], text).toEqual([count(schema), count(schemaOfLargest)]);
      }
    }
  });

  it('of an object that may have several types is that of the most expensive type, for random documents', () => {
    const random = useRandom();
    const types = schema.getPossibleTypes(schema.getType('Node') as GraphQLInterfaceType);
    for (let round = 0; round < 100; round += 1) {
      const text = randomDocument(random, { root: 'Node' });
      const document = parse(text);
      expect(validate(schema, document), text).toEqual([]);
      const variables = { n: random.between(0, 100) };
      const countFor = ({ name }: GraphQLObjectType) =>
        complexityFromQuery(withoutOthers(document, name), { schema, ctx: {}, variables }).complexity;
      const args = { ...argsOf('{ __typename }', variables), document };
      expect(complexityOf(args), text).toBe(Math.max(...types.map(countFor)));
    }
  });

  describe('of an event of one kind or another', () => {
    const priceOfEvent = (selection: string, fragments = '') =>
      complexityOf(argsOf(`subscription { roomEvents(roomId: "x") { ${selection} } } ${fragments}`));
    const own = priceOfEvent('seq');

    it('is that of the largest kind, and of what all have', () => {
      const [added, updated] = ['... on MessageAdded { message { id seq } }', '... on MessageUpdated { change }'];
      expect([priceOfEvent(added), priceOfEvent(updated)]).toEqual([own + 2, own]);
      expect(priceOfEvent(`${added} ${updated}`)).toBe(own + 2);
      expect(priceOfEvent(`seq ${added} epoch ${updated} ... on RoomEvent { __typename s: seq }`)).toBe(own + 2 + 4);
      expect(
        priceOfEvent(
          '... { seq ... on RoomEvent { ...A } } ...U',
          `${inFragment('A', added)} ${inFragment('U', updated)}`,
        ),
      ).toBe(own + 3);
    });

    it('adds up what is selected on the same kind, however it is written', () => {
      const message = (alias: string) => `${alias}: message { id seq }`;
      const times = (count: number, write: (alias: string) => string) =>
        Array.from({ length: count }, (_, at) => write(`a${at}`)).join(' ');
      const attacks = [
        [`... on MessageAdded { ${times(200, message)} }`, ''],
        [times(200, (alias) => `... on MessageAdded { ${message(alias)} }`), ''],
        [times(200, (alias) => `... on RoomEvent { ... on MessageAdded { ${message(alias)} } }`), ''],
        [
          times(200, (alias) => `...F${alias}`),
          times(200, (alias) => `fragment F${alias} on MessageAdded { ${message(alias)} }`),
        ],
        [
          '...F',
          `fragment F on RoomEvent { ${times(100, (alias) => `... on MessageAdded { ${message(alias)} }`)} ...G ... on MessageUpdated { change } }
           fragment G on MessageAdded { ${times(100, (alias) => message(`b${alias}`))} }`,
        ],
      ] as const;
      for (const [selection, fragments] of attacks) {
        expect(priceOfEvent(selection, fragments), selection).toBe(600 + 1);
        const args = argsOf(`subscription { roomEvents(roomId: "x") { ${selection} } } ${fragments}`);
        expect(validate(schema, args.document)).toEqual([]);
        expect(() => assertSmallEvents(args)).toThrow('may touch 601 fields; at most 500 are allowed');
      }
    });

    it('allows all of a message and its files in each kind of event', () => {
      const message = `{ ${everyField('Message', ['Message.room', 'Message.readBy'])} }`;
      const kinds = ['MessageAdded', 'MessageUpdated', 'MessageDeleted'];
      const text = `subscription { roomEvents(roomId: "x") { seq epoch ${kinds.map((kind) => `... on ${kind} { message ${message} }`).join(' ')} } }`;
      const args = argsOf(text);
      expect(validate(schema, args.document)).toEqual([]);
      expect(text.match(/thumbHash/g)).toHaveLength(3);
      const one = complexityOf(
        argsOf(`subscription { roomEvents(roomId: "x") { ... on MessageAdded { message ${message} } } }`),
      );
      expect(complexityOf(args)).toBe(one + 2);
      expect(3 * one).toBeGreaterThan(500);
      expect(() => assertSmallEvents(args)).not.toThrow();
    });
  });

  it('is found at once, however often fragments spread each other', () => {
    const steps = Array.from({ length: 60 }, (_, at) => `fragment F${at} on Room { ...F${at + 1} ...F${at + 1} }`);
    const text = `query ($n: Int) { room(id: "x") { ...F0 } } ${steps.join(' ')}
      fragment F60 on Room { messages(first: $n) { edges { cursor } } }`;
    const args = argsOf(text, { n: 1 }, contextOf({ maxPageSize: 100 }));

    expect(findTooManyFields(args)?.message).toMatch(/may touch \d+ fields/);
    expect(findBadArgument(args)).toBeNull();
    expect(findBadArgument({ ...args, variableValues: { n: 101 } })?.message).toMatch(/first must be at most 100/);
  });

  it('is unknown without the arguments that it depends on: nothing is executed then', () => {
    const args = argsOf('query ($ids: [ID!] = []) { users(ids: $ids) { id } }', { ids: null });

    expect(findTooManyFields(args)?.message).toMatch(/must not be null/);
  });

  it('of an event with an unpaged list is that of the largest room', () => {
    const members = 'subscription { messageAdded(roomId: "x") { room { members { user { name } } } } }';
    expect(mostComplexityOf(argsOf(members))).toBe(3 + 500 * 2 + 490);
  });

  it('of an event allows four fields of each member of the largest room who has read, whatever else is selected', () => {
    const others = Array.from({ length: 9 }, (_, n) => `... on MessageAdded { m${n}: message { ...M } }`).join(' ');
    const fragment =
      'fragment M on Message { id seq type content senderName sender { id name } createdAt editedAt deletedAt system { code users { name } } }';
    const members = 'members { user { id name } lastReadSeq }';
    const document = (rest: string) =>
      argsOf(
        `subscription { roomEvents(roomId: "x") { ... on MembersRead { ${members} } ${rest} } } ${rest && fragment}`,
      );
    const most = maxPriceOf(OperationTypeNode.SUBSCRIPTION, contextOf());

    const large = document(others);
    expect(complexityOf(large), 'nearly all that may be selected').toBeGreaterThan(400);
    expect(() => assertSmallEvents(large)).not.toThrow();
    const ofMoreMembers = mostComplexityOf(document('')) - complexityOf(document(''));
    expect(complexityOf(large) + ofMoreMembers).toBeLessThanOrEqual(most);
  });

  it('may be high enough for all members with a few fields of each, however large rooms may be', () => {
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
  it('is refused before it is executed if its answer could be too large', () => {
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

const inFragment = (name: string, selection: string) => `fragment ${name} on RoomEvent { ${selection} }`;

/** All fields without arguments that must be given, with those of what they return, once each; without `left`. */
function everyField(typeName: string, left: readonly string[]): string {
  const type = schema.getType(typeName) as GraphQLObjectType;
  return Object.values(type.getFields())
    .filter(({ name, args }) => !left.includes(`${typeName}.${name}`) && args.every((arg) => !isRequiredArgument(arg)))
    .map(({ name, type: of }) => {
      const named = getNamedType(of);
      if (!isCompositeType(named)) return name;
      const inner = everyField(named.name, [...left, `${typeName}.${name}`]);
      return `${name} { ${inner} }`;
    })
    .join(' ');
}

/** The document as it is executed for an object of this type where several are possible. */
function withoutOthers(document: DocumentNode, typeName: string): DocumentNode {
  const types = new TypeInfo(schema);
  const conditions = new Map(
    document.definitions.flatMap((node) =>
      node.kind === Kind.FRAGMENT_DEFINITION ? [[node.name.value, node.typeCondition.name.value] as const] : [],
    ),
  );
  const isForOthers = (condition: string | undefined) =>
    isInterfaceType(types.getParentType()) && isObjectType(schema.getType(condition ?? '')) && condition !== typeName;
  return visit(
    document,
    visitWithTypeInfo(types, {
      FragmentSpread: ({ name }) => (isForOthers(conditions.get(name.value)) ? null : undefined),
      SelectionSet: (set) => {
        if (!isInterfaceType(types.getParentType())) return undefined;
        const selections = set.selections.filter(
          (one) => one.kind !== Kind.INLINE_FRAGMENT || !isForOthers(one.typeCondition?.name.value),
        );
        return { ...set, selections };
      },
    }),
  );
}

/** The schema for the plugin to count in, with this many entries in each unpaged list. */
const withEntries = (entries: number) =>
  mapSchema(schema, {
    [MapperKind.OBJECT_FIELD]: (config, name, typeName) =>
      unpagedLists.has(`${typeName}.${name}`) && !boundedLists.has(`${typeName}.${name}`)
        ? {
            ...config,
            extensions: {
              complexity: {
                field:
                  fieldPrice(config) +
                  (entries - prepaidEntries) * (unpagedLists.get(`${typeName}.${name}`) ?? priceOfEntry),
                multiplier: entries,
              },
            },
          }
        : undefined,
  });

const fieldPrice = ({ extensions }: { extensions?: unknown }) =>
  (extensions as { complexity: { field: number } }).complexity.field;

/** Pages and lists within each other, with arguments and variables, in fragments that are spread in several places. */
function randomDocument(random: Random, { root = 'Query' }: { readonly root?: 'Query' | 'Node' } = {}): string {
  const fragments: { readonly name: string; readonly on: string; readonly text: string }[] = [];
  const size = () => random.pick(['$n', '0', '3', '40']);
  const page = (name: string) => random.pick(['', `(${name}: ${size()})`]);
  const argsOfField: Readonly<Record<string, () => string>> = {
    'Query.bookingRoom': () => '(bookingId: 1)',
    'Room.memberPage': () => page('first'),
    'Room.members': () => random.pick(['', '(includeLeft: true)']),
    'Query.message': () => '(id: "x")',
    'Room.messages': () => page(random.pick(['first', 'last'])),
    'Room.messagesAround': () => `(messageId: "x", count: ${size()})`,
    'Query.room': () => '(id: "x")',
    'Query.rooms': () => page('first'),
    'Query.searchUsers': () => `(text: "x", first: ${size()})`,
    'Query.users': () => '(ids: ["1", "2", "3"])',
  };
  let count = 0;
  const selectField = (parent: string, depth: number): string => {
    const type = schema.getType(parent);
    const all = isObjectType(type) || isInterfaceType(type) ? Object.values(type.getFields()) : [];
    const fields = all.filter(({ type }) => !isInterfaceType(getNamedType(type)));
    const isLeaf = (field: (typeof fields)[number]) => !isCompositeType(getNamedType(field.type));
    const leaves = fields.filter(isLeaf);
    const isInner = leaves.length === 0 || (depth > 0 && random.next() < 0.7);
    const field = random.pick(isInner ? fields : leaves);
    count += 1;
    const alias = `a${count}`;
    const inner = isLeaf(field) ? '' : `{ ${select(getNamedType(field.type).name, depth - 1)} }`;
    return `${alias}: ${field.name}${argsOfField[`${parent}.${field.name}`]?.() ?? ''} ${random.pick(['', '@include(if: true)'])} ${inner}`;
  };
  const selectFragment = (parent: string, depth: number): string => {
    const known = fragments.filter(({ on }) => on === parent);
    if (known.length > 0 && random.next() < 0.7) return `...${random.pick(known).name}`;
    const text = select(parent, depth);
    const name = `F${fragments.length}`;
    fragments.push({ name, on: parent, text });
    return `...${name}`;
  };
  const select = (parent: string, depth: number): string =>
    Array.from({ length: random.between(1, 4) }, () => {
      const draw = random.next();
      if (draw < 0.15) return selectFragment(parent, depth);
      if (draw < 0.25) {
        const on = random.pick(possibleTypes(parent));
        return `... ${on === parent ? random.pick(['', `on ${parent}`]) : `on ${on}`} { ${select(on, depth)} }`;
      }
      return draw < 0.3 ? '__typename' : selectField(parent, depth);
    }).join(' ');
  const possibleTypes = (parent: string): string[] => {
    const type = schema.getType(parent);
    const more = isInterfaceType(type) ? schema.getPossibleTypes(type).map(({ name }) => name) : [];
    return [parent, ...more];
  };
  const selected = select(root, 8);
  const selection = root === 'Node' ? `node(id: "x") { ${selected} }` : selected;
  const definitions = fragments.map(({ name, on, text }) => `fragment ${name} on ${on} { ${text} }`);
  return `query ($n: Int = 7) { used: rooms(first: $n) { edges { cursor } } ${selection} } ${definitions.join(' ')}`;
}
