import type { DocumentNode, GraphQLSchema } from 'graphql';
import { ChatError } from '../../../domain/errors.js';
import { toGraphqlError } from '../../../schema/graphql-error.js';
import { compileOperations } from './compiled-operations.js';
import { createDocumentReader, type ReaderOptions } from './document-reader.js';
import { ManifestError, readManifest, sha256Of, withoutPrefix } from './manifest.js';

export interface TrustedDocumentsOptions extends ReaderOptions {
  readonly schema: GraphQLSchema;
  /** The manifests and folders of documents that belong to the project. */
  readonly own: readonly string[];
  /** The manifests and folders of documents of the operator. */
  readonly manifests: readonly string[];
  /** Whether all other documents are refused. */
  readonly only: boolean;
}

/** The fields of a request that select its document, unchecked. */
export interface DocumentRequest {
  readonly query?: unknown;
  /** The id of a registered document, as in GraphQL over HTTP. */
  readonly documentId?: unknown;
  /** May contain Apollo's `persistedQuery`. */
  readonly extensions?: unknown;
}

/** `sha256:` and 64 hex digits. */
export const maxDocumentIdLength = 71;

/** The registered documents: the operator's and the project's own. They are compiled, and clients may send their ids. */
export class TrustedDocuments {
  readonly #textById = new Map<string, string>();
  readonly #documents = new Map<string, DocumentNode>();
  readonly #hasManifest: boolean;
  readonly #only: boolean;
  /** The names of the operations that graphql-jit would not execute as graphql does. */
  readonly interpreted: string[] = [];

  /**
   * Reads, validates and compiles all documents.
   * @throws {ManifestError} with the file and the operation, if a document cannot be used
   */
  constructor({ schema, own, manifests, only, ...limits }: TrustedDocumentsOptions) {
    this.#hasManifest = manifests.length > 0;
    this.#only = only;
    const reader = createDocumentReader(schema, limits);
    for (const { id, text, place } of [...own, ...manifests].flatMap(readManifest)) {
      this.#textById.set(withoutPrefix(id), text);
      this.#textById.set(sha256Of(text), text);
      if (this.#documents.has(text)) continue;
      const document = parseAt(place, () => reader.parse(text));
      const [mistake] = reader.validate(document);
      if (mistake !== undefined) throw new ManifestError(nameOf(document, place), mistake.message);
      this.#documents.set(text, document);
      const interpreted = compileOperations(schema, document);
      this.interpreted.push(...interpreted.map(({ name }) => name?.value ?? place));
    }
  }

  get size(): number {
    return this.#documents.size;
  }

  /** Returns the registered document with exactly this text, which is valid. */
  find(text: string): DocumentNode | undefined {
    return this.#documents.get(text);
  }

  /**
   * Returns the text of the registered document that the request names, otherwise the text that it contains; undefined if it
   * has neither.
   * @throws {ChatError} DOCUMENT_NOT_REGISTERED, BAD_USER_INPUT
   */
  findText({ query, documentId, extensions }: DocumentRequest): string | undefined {
    if (documentId != null && typeof documentId !== 'string') {
      throw new ChatError('BAD_USER_INPUT', 'documentId must be a string');
    }
    const persisted = persistedQueryOf(extensions);
    const id = documentId ?? persisted?.sha256Hash;
    const registered = this.#findById(id);
    if (registered !== undefined) return registered;
    const hasId = documentId != null || persisted !== undefined;
    // Clients that must send a text send an empty one with an id.
    if (typeof query === 'string' && (query !== '' || !hasId)) {
      if (this.#only && !this.#documents.has(query)) throw notRegistered();
      return query;
    }
    if (!hasId) return undefined;
    if (this.#only) throw notRegistered();
    if (documentId != null)
      throw new ChatError('DOCUMENT_NOT_REGISTERED', 'No document is registered under this documentId');
    throw this.#hasManifest ? persistedQueryNotFound() : persistedQueryNotSupported();
  }

  #findById(id: unknown): string | undefined {
    if (typeof id !== 'string' || id.length > maxDocumentIdLength) return undefined;
    return this.#textById.get(withoutPrefix(id));
  }
}

function parseAt(place: string, parse: () => DocumentNode): DocumentNode {
  try {
    return parse();
  } catch (error) {
    throw new ManifestError(place, (error as Error).message);
  }
}

/** Adds the document's first operation if the manifest does not name one. */
function nameOf({ definitions }: DocumentNode, place: string): string {
  const name = definitions.find((node) => node.kind === 'OperationDefinition')?.name?.value;
  return name === undefined || place.endsWith(` ${name}`) ? place : `${place}, operation ${name}`;
}

function persistedQueryOf(extensions: unknown): { readonly sha256Hash?: unknown } | undefined {
  const persisted = (extensions as { persistedQuery?: unknown } | null | undefined)?.persistedQuery;
  return typeof persisted === 'object' && persisted !== null ? persisted : undefined;
}

const notRegistered = () =>
  new ChatError('DOCUMENT_NOT_REGISTERED', 'This server executes registered documents only, and this is none of them');

/**
 * Apollo's clients and urql recognize these messages in an answer with status 200, and then send the text: this time, or from
 * now on.
 */
const persistedQueryNotFound = () => persistedQueryError('PersistedQueryNotFound', 'DOCUMENT_NOT_REGISTERED');
const persistedQueryNotSupported = () => persistedQueryError('PersistedQueryNotSupported', 'BAD_USER_INPUT');

const persistedQueryError = (message: string, code: 'DOCUMENT_NOT_REGISTERED' | 'BAD_USER_INPUT') =>
  toGraphqlError(new ChatError(code, message), { extensions: { http: { status: 200 } } });
