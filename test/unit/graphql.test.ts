import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import type { Deps } from '../../src/resolvers/deps.js';
import { createMaskError } from '../../src/server/errors.js';
import { createExecute } from '../../src/server/execute.js';
import { createGraphqlEngine } from '../../src/server/graphql.js';
import { createSubscribe } from '../../src/server/subscribe.js';

const createEngine = () => {
  const execute = createExecute();
  return createGraphqlEngine({
    deps: {} as Deps,
    maskError: createMaskError(pino({ level: 'silent' }), { suggestions: false }),
    execute,
    subscribe: createSubscribe(execute),
    introspection: false,
    maxTokens: 100,
    maxDepth: 5,
    maxAliases: 3,
  });
};

const unknown = 'mutation { nothing }';

describe('read', () => {
  it('gives one document for one text', () => {
    const { read } = createEngine();
    const document = read('{ viewer { id } }');
    expect(document).toMatchObject({ kind: 'Document' });
    expect(read('{ viewer { id } }')).toBe(document);
    expect(read('{ viewer { name } }')).not.toBe(document);
  });

  it.each([
    ['what is not in the schema', '{ nothing }', /Cannot query field "nothing"/],
    ['introspection where it is off', '{ __schema { description } }', /introspection/],
    ['what is too deep', '{ rooms { edges { node { lastMessage { room { lastMessage { id } } } } } } }', /deep/],
    ['too many aliases', '{ a: __typename b: __typename c: __typename d: __typename }', /alias/],
  ])('tells each time what is wrong with %s', (_what, text, message) => {
    const { read } = createEngine();
    for (let time = 0; time < 3; time += 1) {
      expect(read(text)).toEqual([
        expect.objectContaining({
          message: expect.stringMatching(message),
          extensions: expect.objectContaining({ code: 'BAD_USER_INPUT' }),
        }),
      ]);
    }
  });

  it.each([
    ['is no document', '{ viewer'],
    ['has too many words', `{ ${'viewer { id } '.repeat(50)} }`],
  ])('throws each time what %s', (_what, text) => {
    const { read } = createEngine();
    for (let time = 0; time < 3; time += 1) expect(() => read(text)).toThrow(/Syntax Error/);
  });

  it('takes no document for checked because HTTP has parsed it', async () => {
    const { read, yoga } = createEngine();
    const context = { viewer: null, isBehind: () => false, cutOff: () => undefined };
    const refused = await yoga.fetch(`http://localhost/graphql?query=${encodeURIComponent(unknown)}`, {}, context);
    expect(refused.status).toBe(405);
    expect(read(unknown)).toEqual([expect.objectContaining({ message: expect.stringMatching(/Cannot query field/) })]);
  });
});
