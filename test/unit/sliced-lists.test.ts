import SchemaBuilder from '@pothos/core';
import { type ExecutionResult, execute, type GraphQLSchema, parse } from 'graphql';
import { compileQuery, isCompiledQuery } from 'graphql-jit';
import { describe, expect, it } from 'vitest';
import { Slices } from '../../src/domain/slices.js';
import type { Context } from '../../src/schema/context.js';
import SlicedListsPlugin from '../../src/schema/sliced-lists.js';
import { spin } from '../support/spin.js';

/** The types of the project's other plugins require options here, too. */
type SchemaOptions = ConstructorParameters<typeof SchemaBuilder<{ Context: Context }>>[0];

const schema = createSchema();
const interpret = (query: string, contextValue: Context) => execute({ schema, document: parse(query), contextValue });

describe('a long list', () => {
  it('is completed over several turns of the event loop', async () => {
    const { result, turns } = await countTurns(interpret('{ list(length: 450) { slow } }', context()));
    expect(result).toEqual({ data: { list: Array.from({ length: 450 }, (_, slow) => ({ slow })) } });
    expect(turns).toBeGreaterThanOrEqual(3);
  });

  it('is completed at once up to the size of a page', () => {
    const result = interpret('{ list(length: 100) { number } }', context());
    expect(result).toEqual({ data: { list: Array.from({ length: 100 }, (_, number) => ({ number })) } });
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
    const result = await interpret('{ list(length: 300) { number fails(at: 250) } }', context());
    expect(result.errors).toMatchObject([{ message: 'no', path: ['list', 250, 'fails'] }]);
    const list = result.data?.list as { fails: number | null }[];
    expect(list.flatMap(({ fails }, place) => (fails === null ? [place] : []))).toEqual([250]);
  });

  it('is the same for a compiled operation', async () => {
    const text = '{ list(length: 450) { slow fails(at: 250) } }';
    const compiled = compileQuery(schema, parse(text));
    if (!isCompiledQuery(compiled)) throw new Error('not compiled');
    const { result, turns } = await countTurns(compiled.query(undefined, context(), {}));
    expect(result.data).toEqual((await interpret(text, context())).data);
    expect(turns).toBeGreaterThanOrEqual(3);
  });
});

/** Counts the turns of the event loop until the result is there. */
async function countTurns(executed: ExecutionResult | Promise<ExecutionResult>) {
  let turns = 0;
  let ticking: NodeJS.Immediate | undefined;
  const tick = () => {
    turns += 1;
    ticking = setImmediate(tick);
  };
  ticking = setImmediate(tick);
  const result = await executed;
  clearImmediate(ticking);
  return { result, turns };
}

const context = () => ({ deps: { slices: new Slices() }, turnTaker: 4 }) as unknown as Context;

function createSchema(): GraphQLSchema {
  const builder = new SchemaBuilder<{ Context: Context }>({ plugins: [SlicedListsPlugin] } as SchemaOptions);
  const Entry = builder.objectRef<{ readonly number: number }>('Entry').implement({
    fields: (t) => ({
      number: t.exposeInt('number', { nullable: false }),
      // A hundred of them take longer than any slice.
      slow: t.int({
        nullable: false,
        resolve: ({ number }) => {
          spin(0.15);
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
  builder.queryType({
    fields: (t) => ({
      list: t.field({
        type: [Entry],
        nullable: false,
        args: { length: t.arg.int({ required: true }) },
        resolve: (_root, { length }) => Array.from({ length }, (_, number) => ({ number })),
      }),
    }),
  });
  return builder.toSchema();
}
