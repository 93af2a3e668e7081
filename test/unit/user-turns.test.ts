import { buildSchema, type ExecutionArgs, execute, parse } from 'graphql';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { Slices } from '../../src/domain/slices.js';
import { createMaskError } from '../../src/server/graphql/errors.js';
import { LargeAnswers } from '../../src/server/graphql/limits/large-answers.js';
import { UnreadAnswers } from '../../src/server/graphql/limits/unread-answers.js';
import { UserTurns } from '../../src/server/graphql/limits/user-turns.js';

const schema = buildSchema('type Query { number: Int }');
const maskError = createMaskError(pino({ level: 'silent' }), { suggestions: false });
const maxAnswerBytes = 1_000_000;

function createTurns(): UserTurns {
  const slices = new Slices();
  return new UserTurns(execute, {
    unread: new UnreadAnswers(maxAnswerBytes, slices),
    largeAnswers: new LargeAnswers({ slices, maskError, maxAnswerBytes }),
    maxOperationsAtOnce: 3,
    complexityPerMinute: 1_000_000,
    operationsPerMinute: 1_000_000,
  });
}

function ask(fields: number): ExecutionArgs {
  const names = Array.from({ length: fields }, (_, index) => `field${index}: number`);
  const limits = { maxComplexity: 20_000, maxEventComplexity: 1_000, maxRoomMembers: 500 };
  return {
    schema,
    document: parse(`{ ${names.join(' ')} }`),
    rootValue: { number: 1 },
    contextValue: { deps: { limits } },
  };
}

describe('an answer', () => {
  const asker = { user: 4, signal: () => new AbortController().signal };

  it('with many short fields is printed in pieces', async () => {
    const args = ask(12_000);
    const { printed, result } = await createTurns().execute(args, asker);
    expect(result).toEqual({ data: null });
    expect(printed?.pieces.length).toBeGreaterThan(5);
    expect(Buffer.concat(printed?.pieces ?? []).toString()).toBe(JSON.stringify(await execute(args)));
  });

  it('with few fields is not', async () => {
    const args = ask(1_000);
    const { printed, result } = await createTurns().execute(args, asker);
    expect(printed).toBeUndefined();
    expect(result).toEqual(await execute(args));
  });
});
