import SchemaBuilder from '@pothos/core';
import { type ExecutionResult, execute, type GraphQLSchema, parse } from 'graphql';
import { compileQuery, isCompiledQuery } from 'graphql-jit';
import { describe, expect, it } from 'vitest';
import { Slices } from '../../src/domain/slices.js';
import type { Context } from '../../src/schema/context.js';
import SlicedListsPlugin, { slowList } from '../../src/schema/sliced-lists.js';
import { spin } from '../support/spin.js';

/** The types of the project's other plugins require options here, too. */
type SchemaOptions = ConstructorParameters<typeof SchemaBuilder<{ Context: Context }>>[0];

const schema = createSchema();
const interpret = (query: string, contextValue: Context) => execute({ schema, document: parse(query), contextValue });

describe('a long list', () => {
  it('is completed over several turns of the event loop', async () => {
    const { result, turns } = await countTurns(() => interpret('{ list(length: 5000) { slow } }', context()));
    expect(result).toEqual({ data: { list: Array.from({ length: 5_000 }, (_, slow) => ({ slow })) } });
    expect(turns.length).toBeGreaterThanOrEqual(3);
  });

  it.each([
    [100, 30],
    [700, 1],
  ])('is completed at once if it has %i entries with %i fields', (length, count) => {
    const query = `{ list(length: ${length}) { ...F } } fragment F on Entry { ${fields(count)} }`;
    const result = interpret(query, context(new FreshTurn()));
    expect(result).not.toBeInstanceOf(Promise);
    expect(result).toMatchObject({ data: { list: { length } } });
  });

  it('is completed over several turns if it has a few entries with many fields', async () => {
    const query = `{ list(length: 16) { ...F } } fragment F on Entry { ${fields(1_000)} }`;
    const { result, turns } = await countTurns(() => interpret(query, context()));
    expect(result).toMatchObject({ data: { list: { length: 16 } } });
    expect(Math.max(...turns)).toBeLessThan(16_000);
  });

  it('is not completed in the turn of other lists that have enough to do', async () => {
    // The inner lists are all there before the first of them is completed.
    const { result, turns } = await countTurns(() => interpret('{ list(length: 12) { later { number } } }', context()));
    expect(result).toMatchObject({ data: { list: { length: 12 } } });
    expect(sum(turns)).toBe(12 * 500);
    expect(Math.max(...turns)).toBeLessThanOrEqual(2 * 750);
  });

  it('is resolved in a later turn if that takes long and this turn has worked for long', async () => {
    const { result, turns } = await countTurns(() =>
      interpret('{ list(length: 12) { slowList { number } } }', context()),
    );
    expect(result).toMatchObject({ data: { list: { length: 12 } } });
    expect(sum(turns)).toBe(12 * 10);
    expect(Math.max(...turns)).toBeLessThanOrEqual(60);
  });

  it('waits for a later turn if this one has worked for long', async () => {
    const given = context();
    expect(given.deps.slices.isOver).toBe(false);
    spin(5);
    const executed = interpret('{ list(length: 50) { number } }', given);
    expect(executed).toBeInstanceOf(Promise);
    expect(interpret('{ list(length: 16) { number } }', given)).not.toBeInstanceOf(Promise);
    expect((await executed).data?.list).toHaveLength(50);
  });

  it('keeps the place of an entry that fails', async () => {
    const result = await interpret('{ list(length: 3000) { number fails(at: 2500) } }', context());
    expect(result.errors).toMatchObject([{ message: 'no', path: ['list', 2_500, 'fails'] }]);
    const list = result.data?.list as { fails: number | null }[];
    expect(list.flatMap(({ fails }, place) => (fails === null ? [place] : []))).toEqual([2_500]);
  });

  it('is the same for a compiled operation', async () => {
    const text = '{ list(length: 5000) { slow fails(at: 2500) } }';
    const compiled = compileQuery(schema, parse(text));
    if (!isCompiledQuery(compiled)) throw new Error('not compiled');
    const { result, turns } = await countTurns(() => compiled.query(undefined, context(), {}));
    expect(result.data).toEqual((await interpret(text, context())).data);
    expect(turns.length).toBeGreaterThanOrEqual(3);
  });
});

/** How many entries were completed, in all turns of all tests. */
let completed = 0;

/** Counts the entries that are completed in each turn of the event loop until the result is there. */
async function countTurns(run: () => ExecutionResult | Promise<ExecutionResult>) {
  const turns: number[] = [];
  let before = completed;
  let ticking: NodeJS.Immediate | undefined;
  const tick = () => {
    turns.push(completed - before);
    before = completed;
    ticking = setImmediate(tick);
  };
  ticking = setImmediate(tick);
  const result = await run();
  turns.push(completed - before);
  clearImmediate(ticking);
  return { result, turns };
}

const sum = (numbers: readonly number[]): number => numbers.reduce((all, number) => all + number, 0);
const fields = (count: number): string => Array.from({ length: count }, (_, index) => `f${index}: number`).join(' ');
const entries = (length: number) => Array.from({ length }, (_, number) => ({ number }));

/** A turn of the event loop in which nothing else was done, not even the test's own compilation. */
class FreshTurn extends Slices {
  override get isOver(): boolean {
    return false;
  }
}

const context = (slices = new Slices()) => ({ deps: { slices }, turnTaker: 4 }) as unknown as Context;

function createSchema(): GraphQLSchema {
  const builder = new SchemaBuilder<{ Context: Context }>({ plugins: [SlicedListsPlugin] } as SchemaOptions);
  const Entry = builder.objectRef<{ readonly number: number }>('Entry').implement({
    fields: (t) => ({
      number: t.int({
        nullable: false,
        resolve: ({ number }) => {
          completed += 1;
          return number;
        },
      }),
      // A thousand of them take longer than any slice.
      slow: t.int({
        nullable: false,
        resolve: ({ number }) => {
          spin(0.01);
          return number;
        },
      }),
      fails: t.int({
        nullable: true,
        args: { at: t.arg.int({ required: true }) },
        resolve: ({ number }, { at }) => {
          if (number === at) throw new Error('no');
          return number;
        },
      }),
    }),
  });
  builder.objectFields(Entry, (t) => ({
    later: t.field({ type: [Entry], nullable: false, resolve: async () => entries(500) }),
    slowList: t.field({
      ...slowList,
      type: [Entry],
      nullable: false,
      resolve: () => {
        spin(1.5);
        return entries(10);
      },
    }),
  }));
  builder.queryType({
    fields: (t) => ({
      list: t.field({
        type: [Entry],
        nullable: false,
        args: { length: t.arg.int({ required: true }) },
        resolve: (_root, { length }) => entries(length),
      }),
    }),
  });
  return builder.toSchema();
}
