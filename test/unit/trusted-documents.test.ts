import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { OperationDefinitionNode } from 'graphql';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ChatError } from '../../src/domain/errors.js';
import { schema } from '../../src/schema/index.js';
import { findCompiled } from '../../src/server/graphql/documents/compiled-operations.js';
import { ManifestError } from '../../src/server/graphql/documents/manifest.js';
import {
  type DocumentRequest,
  TrustedDocuments,
  type TrustedDocumentsOptions,
} from '../../src/server/graphql/documents/trusted-documents.js';

const hash = (algorithm: string, text: string) => createHash(algorithm).update(text).digest('hex');
const sha256 = (text: string) => hash('sha256', text);

const viewer = 'query Viewer { viewer { id } }';
const unread = 'query Unread { unreadCount }';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'fairway-manifests-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** The path of a new file with this content. */
function write(name: string, content: string | object): string {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

const register = (manifests: readonly string[], options: Partial<TrustedDocumentsOptions> = {}) =>
  new TrustedDocuments({
    schema,
    own: [],
    manifests,
    only: false,
    introspection: false,
    maxTokens: 1_000,
    maxDocumentLength: 2_000,
    maxDocumentLines: 100,
    maxDepth: 5,
    maxAliases: 3,
    ...options,
  });

const apollo = (...operations: object[]) => ({ format: 'apollo-persisted-query-manifest', version: 1, operations });
const operationOf = (name: string, body: string) => ({ id: sha256(body), name, type: 'query', body });
const byHash = (sha256Hash: unknown): DocumentRequest => ({
  extensions: { persistedQuery: { version: 1, sha256Hash } },
});

describe('a manifest', () => {
  it.each([
    [
      'of graphql-codegen, with sha1',
      () => write('sha1.json', { [hash('sha1', viewer)]: viewer }),
      hash('sha1', viewer),
    ],
    [
      'of graphql-codegen, with sha256',
      () => write('sha256.json', { [`sha256:${sha256(viewer)}`]: viewer }),
      `sha256:${sha256(viewer)}`,
    ],
    ['of Relay, with md5', () => write('md5.json', { [hash('md5', viewer)]: viewer }), hash('md5', viewer)],
    ['of Apollo', () => write('apollo.json', apollo(operationOf('Viewer', viewer))), sha256(viewer)],
    ['that is a folder', () => dirname(write('folder/inner/Viewer.graphql', viewer)), sha256(viewer)],
  ])('%s registers documents by its ids and by their sha256', (_what, path, id) => {
    const documents = register([path()]);
    expect(documents.size).toBe(1);
    for (const given of [id, sha256(viewer), `sha256:${sha256(viewer)}`]) {
      expect(documents.findText({ documentId: given })).toBe(viewer);
      expect(documents.findText(byHash(given))).toBe(viewer);
    }
  });

  it('is read together with others and with the documents of the project, and each document counts once', () => {
    const first = write('first.json', { [sha256(viewer)]: viewer });
    const second = write('second.json', apollo(operationOf('Viewer', viewer), operationOf('Unread', unread)));
    const documents = register([first, second], { own: [first] });
    expect(documents.size).toBe(2);
    expect(documents.findText({ documentId: sha256(unread) })).toBe(unread);
  });

  it('has its documents compiled, and lists those that are interpreted', () => {
    const text = 'query Named { room(id: "0b5e7a1c-4d0f-4c6e-9a53-5f1d0a4e0001") { id } }';
    const documents = register([write('named.json', { [sha256(viewer)]: viewer, [sha256(text)]: text })]);
    const [operation] = documents.find(viewer)?.definitions ?? [];
    expect(findCompiled(operation as OperationDefinitionNode)).toEqual(expect.any(Function));
    expect(documents.interpreted).toEqual(['Named']);
  });

  it('has all documents of the project compiled', () => {
    const documents = register([], { own: [join(import.meta.dirname, '../../clients/operations')], maxDepth: 10 });
    expect(documents.size).toBeGreaterThan(10);
    expect(documents.interpreted).toEqual([]);
  });

  it.each([
    ['that is not there', () => join(folder, 'nowhere.json'), /nowhere.json: cannot be read \(ENOENT\)/],
    ['that is no JSON', () => write('text.json', '{ "a'), /text.json: is not JSON: /],
    ['that is a list', () => write('list.json', []), /list.json: must be a JSON object/],
    [
      'with a value that is not text',
      () => write('number.json', { [sha256(viewer)]: 1 }),
      new RegExp(`number.json, ${sha256(viewer)}: must be the text of a document`),
    ],
    [
      'of another format',
      () => write('format.json', { format: 'another', version: 1, operations: [] }),
      /format.json: format must be "apollo-persisted-query-manifest"/,
    ],
    ['of another version', () => write('version.json', { ...apollo(), version: 2 }), /version.json: version must be 1/],
    ['without operations', () => write('none.json', { ...apollo(), operations: {} }), /operations must be a list/],
    [
      'with an operation without a text',
      () => write('body.json', apollo({ id: sha256(viewer), name: 'Viewer', type: 'query' })),
      /body.json, operation 1: body /,
    ],
    [
      'with a hash of another text',
      () => write('other.json', apollo({ ...operationOf('Viewer', viewer), id: sha256(unread) })),
      new RegExp(`other.json, operation Viewer: the id ${sha256(unread)} does not fit .* sha256 is ${sha256(viewer)}`),
    ],
    ['with an id of another kind', () => write('id.json', { viewer }), /id.json, viewer: the id "viewer" must be/],
    ['with an invalid document', () => write('f/Bad.graphql', '{ viewer'), /Bad.graphql: Syntax Error: /],
    ['with an empty document', () => write('g/Empty.graphql', ''), /Empty.graphql: Syntax Error: /],
    [
      'with a document that does not match the schema',
      () => write('h/Old.graphql', 'query Old { nothing }'),
      /Old.graphql, operation Old: Cannot query field "nothing" on type "Query"/,
    ],
    [
      'with a document beyond the limits',
      () =>
        write(
          'deep.json',
          apollo(operationOf('D', '{ room(id: 1) { lastMessage { room { lastMessage { room { id } } } } } }')),
        ),
      /deep.json, operation D: The operation nests 6 fields deep; at most 5 are allowed/,
    ],
    [
      'with introspection while it is off',
      () => write('i/Schema.graphql', '{ __schema { description } }'),
      /Schema.graphql: GraphQL introspection has been disabled/,
    ],
  ])('%s is refused with a message that names the place', (_what, path, message) => {
    const read = () => register([path().replace(/\/[^/]+\.graphql$/, '')]);
    expect(read).toThrow(ManifestError);
    expect(read).toThrow(message);
    expect(read).toThrow(/^TRUSTED_DOCUMENTS: /);
  });
});

describe('a request', () => {
  const manifest = () => write('requests.json', { [sha256(viewer)]: viewer });
  const refusal = (documents: TrustedDocuments, request: DocumentRequest) => {
    try {
      return documents.findText(request);
    } catch (error) {
      const cause = (error as { originalError?: unknown }).originalError ?? error;
      return cause instanceof ChatError ? [cause.code, cause.message] : error;
    }
  };

  it('selects the registered document that it names, whatever text it has', () => {
    const documents = register([manifest()]);
    for (const query of [undefined, null, '', viewer, unread]) {
      expect(documents.findText({ query, documentId: sha256(viewer) })).toBe(viewer);
      expect(documents.findText({ query, ...byHash(sha256(viewer)) })).toBe(viewer);
    }
  });

  it('selects its text if no document has the id, and registers nothing', () => {
    const documents = register([manifest()]);
    expect(documents.findText({ query: unread, ...byHash(sha256(unread)) })).toBe(unread);
    expect(documents.findText({ query: unread, documentId: sha256(unread) })).toBe(unread);
    expect(refusal(documents, byHash(sha256(unread)))).toEqual(['DOCUMENT_NOT_REGISTERED', 'PersistedQueryNotFound']);
    expect(documents.size).toBe(1);
  });

  it.each([
    ['unknown', 'f'.repeat(64)],
    ['far too long', 'f'.repeat(1_000_000)],
    ['a name that objects have', '__proto__'],
    ['another such name', 'constructor'],
    ['empty', ''],
    ['prefixed twice', `sha256:sha256:${sha256(viewer)}`],
    ['in capitals', sha256(viewer).toUpperCase()],
  ])('with an id that is %s is refused', (_what, id) => {
    const documents = register([manifest()]);
    expect(refusal(documents, { documentId: id })).toEqual([
      'DOCUMENT_NOT_REGISTERED',
      'No document is registered under this documentId',
    ]);
    expect(refusal(documents, byHash(id))).toEqual(['DOCUMENT_NOT_REGISTERED', 'PersistedQueryNotFound']);
    expect(refusal(register([]), byHash(id))).toEqual(['BAD_USER_INPUT', 'PersistedQueryNotSupported']);
  });

  it('with an id that is not a string is refused', () => {
    const documents = register([manifest()]);
    expect(refusal(documents, { documentId: 7 })).toEqual(['BAD_USER_INPUT', 'documentId must be a string']);
    for (const hash of [7, null, {}, [sha256(viewer)]]) {
      expect(refusal(documents, byHash(hash))).toEqual(['DOCUMENT_NOT_REGISTERED', 'PersistedQueryNotFound']);
    }
  });

  it('without an id and a text selects nothing', () => {
    const documents = register([manifest()]);
    for (const extensions of [undefined, null, 'x', {}, { persistedQuery: null }, { persistedQuery: 'x' }]) {
      expect(documents.findText({ extensions })).toBeUndefined();
    }
  });

  it('for another document is refused if only registered ones are executed', () => {
    const documents = register([manifest()], { only: true });
    expect(documents.findText({ query: viewer })).toBe(viewer);
    expect(documents.findText({ documentId: sha256(viewer) })).toBe(viewer);
    const message = 'This server executes registered documents only, and this is none of them';
    for (const request of [
      { query: unread },
      { query: `${viewer} ` },
      { query: '' },
      { query: '{ __schema { description } }' },
      { documentId: 'x' },
      { query: unread, documentId: 'x' },
      byHash('f'.repeat(64)),
      { query: unread, ...byHash(sha256(unread)) },
    ]) {
      expect(refusal(documents, request)).toEqual(['DOCUMENT_NOT_REGISTERED', message]);
    }
  });
});
