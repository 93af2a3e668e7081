import { setTimeout as delay } from 'node:timers/promises';
import type { GraphQLError } from 'graphql';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import type { Deps } from '../../src/resolvers/deps.js';
import { schema } from '../../src/schema/index.js';
import { TrustedDocuments } from '../../src/server/graphql/documents/trusted-documents.js';
import { createGraphqlEngine } from '../../src/server/graphql/engine.js';
import { createMaskError } from '../../src/server/graphql/errors.js';

const options = {
  introspection: false,
  maxTokens: 100,
  maxDocumentLength: 2_000,
  maxDocumentLines: 100,
  maxDepth: 5,
  maxAliases: 3,
};
const createEngine = () =>
  createGraphqlEngine({
    ...options,
    deps: {} as Deps,
    maskError: createMaskError(pino({ level: 'silent' }), { suggestions: false }),
    documents: new TrustedDocuments({ ...options, schema, own: [], manifests: [], only: false }),
  });

const unknown = 'mutation { nothing }';

describe('read', () => {
  it('returns the same document for the same text', () => {
    const { read } = createEngine();
    const document = read('{ viewer { id } }');
    expect(document).toMatchObject({ kind: 'Document' });
    expect(read('{ viewer { id } }')).toBe(document);
    expect(read('{ viewer { name } }')).not.toBe(document);
  });

  it.each([
    ['a field that is not in the schema', '{ nothing }', /Cannot query field "nothing"/],
    ['introspection while it is off', '{ __schema { description } }', /introspection/],
    ['too deep nesting', '{ rooms { edges { node { lastMessage { room { lastMessage { id } } } } } } }', /deep/],
    ['too many aliases', '{ a: __typename b: __typename c: __typename d: __typename }', /alias/],
    ['one field far too often', `{ ${'a '.repeat(90)} }`, /too often at one place/],
  ])('reports the problem each time for %s', (_what, text, message) => {
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
    ['is not a document', '{ viewer'],
    ['has too many tokens', `{ ${'viewer { id } '.repeat(50)} }`],
  ])('throws each time for a text that %s', (_what, text) => {
    const { read } = createEngine();
    for (let time = 0; time < 3; time += 1) expect(() => read(text)).toThrow(/Syntax Error/);
  });

  it.each([
    ['is too long', `{ ${'viewer '.repeat(300)} }`, '{ viewer { id } }'.padEnd(2_000)],
    ['has too many lines', `{ viewer { id } }${'\n'.repeat(100)}`, `{ viewer { id } }${'\r\n'.repeat(99)}`],
  ])('does not even parse a text that %s', (_what, text, accepted) => {
    const { read } = createEngine();
    for (let time = 0; time < 3; time += 1) expect(() => read(text)).toThrow(/at most 2000|more than 100 lines/);
    expect(read(accepted)).toMatchObject({ kind: 'Document' });
  });

  it('reports only the first few of many errors, with their locations', () => {
    const { read } = createEngine();
    const problems = read(`{\n${'  nothing\n'.repeat(40)}}`) as readonly GraphQLError[];
    expect(problems.map(({ message }) => message)).toEqual([
      ...Array.from({ length: 5 }, () => 'Cannot query field "nothing" on type "Query".'),
      expect.stringContaining('limit reached'),
    ]);
    expect(problems[4]?.locations).toEqual([{ line: 6, column: 3 }]);
  });

  it('limits the kept documents by their size in memory, not by the length of their text', () => {
    const { read } = createEngine();
    const text = (number: number) => `query Q${number} { users(ids: [${'1 '.repeat(80)}]) { id } }`;
    const first = read(text(0));
    for (let number = 1; number <= 1_000; number += 1) read(text(number));
    expect(read(text(1_000))).toBe(read(text(1_000)));
    expect(read(text(0))).not.toBe(first);
  });

  it('reports the time for an unknown text, valid or not', async () => {
    const { read, yoga } = createEngine();
    const notes: number[] = [];
    const noteReading = (ms: number) => void notes.push(ms);
    const takeNotes = () => notes.splice(0).map((ms) => ms > 0);
    read('{ viewer { id } }', noteReading);
    expect(takeNotes()).toEqual([true, true]);
    read('{ viewer { id } }', noteReading);
    expect(takeNotes()).toEqual([]);
    read('{ nothing }', noteReading);
    expect(takeNotes()).toEqual([true, true]);
    expect(() => read('{ viewer', noteReading)).toThrow(/Syntax Error/);
    expect(takeNotes()).toEqual([true]);
    await yoga.fetch(
      `http://localhost/graphql?query=${encodeURIComponent('{ nothing more }')}`,
      {},
      {
        waitToRead: () => undefined,
        noteReading,
      },
    );
    expect(takeNotes()).toContain(true);
  });

  it('waits before it reads a new document over HTTP, and not for a known one', async () => {
    const { yoga } = createEngine();
    const url = `http://localhost/graphql?query=${encodeURIComponent('{ __typename }')}`;
    const steps: string[] = [];
    const context = {
      viewer: null,
      isBehind: () => false,
      cutOff: () => undefined,
      waitToRead: async () => {
        await delay(0);
        steps.push('waited');
      },
      noteReading: () => void steps.push('read'),
      execute: async () => ({ data: {} }),
    };
    await yoga.fetch(url, {}, context as never);
    expect(steps).toEqual(['waited', 'read', 'read']);
    steps.length = 0;
    await yoga.fetch(url, {}, context as never);
    expect(steps).toEqual([]);
  });

  it('does not treat a document as validated only because HTTP has parsed it', async () => {
    const { read, yoga } = createEngine();
    const context = {
      viewer: null,
      isBehind: () => false,
      cutOff: () => undefined,
      subscribe: async () => ({}),
      waitToRead: () => undefined,
    };
    const refused = await yoga.fetch(`http://localhost/graphql?query=${encodeURIComponent(unknown)}`, {}, context);
    expect(refused.status).toBe(405);
    expect(read(unknown)).toEqual([expect.objectContaining({ message: expect.stringMatching(/Cannot query field/) })]);
  });
});
