import {
  type DocumentNode,
  type ExecutionArgs,
  type ExecutionResult,
  GraphQLError,
  type GraphQLSchema,
  Source,
} from 'graphql';
import { createYoga, type Plugin, type YogaServerInstance } from 'graphql-yoga';
import { LRUCache } from 'lru-cache';
import { ChatError, type ErrorCode } from '../../domain/errors.js';
import type { Deps } from '../../resolvers/deps.js';
import { toGraphqlError } from '../../schema/graphql-error.js';
import { schema } from '../../schema/index.js';
import type { RequestContext } from './context.js';
import { createDocumentReader, type ReaderOptions } from './documents/document-reader.js';
import type { DocumentRequest, TrustedDocuments } from './documents/trusted-documents.js';
import type { MaskError } from './errors.js';
import { documentWeight } from './limits/document-weight.js';
import { statuses } from './statuses.js';
import { assertModest } from './variables.js';

export interface GraphqlOptions extends ReaderOptions {
  readonly deps: Deps;
  readonly documents: TrustedDocuments;
  readonly maskError: MaskError;
}

/** The part of the context that a transport provides for each operation. */
export type TransportContext = Omit<RequestContext, 'deps' | 'turnTaker'>;

/** Called with the time for parsing or validating a new document, in milliseconds. */
export type NoteReading = (ms: number) => void;

/** The same for HTTP, with functions that run the operation. */
export interface HttpContext extends TransportContext {
  /** Called before a new document is parsed; undefined if there is nothing to wait for. */
  readonly waitToRead: () => Promise<void> | undefined;
  readonly noteReading: NoteReading;
  readonly execute: (args: ExecutionArgs) => Promise<ExecutionResult>;
  /** Returns only errors: results are sent separately. */
  readonly subscribe: (args: ExecutionArgs) => Promise<ExecutionResult>;
}

/** Documents and context for every transport. */
export interface GraphqlEngine {
  readonly schema: GraphQLSchema;
  /** Runs HTTP requests. */
  readonly yoga: YogaServerInstance<HttpContext, RequestContext>;
  /**
   * The text of the document that a request refers to; empty if it refers to none.
   * @throws {ChatError} DOCUMENT_NOT_REGISTERED, BAD_USER_INPUT
   */
  findText(request: DocumentRequest): string;
  /**
   * Parses and validates the text like yoga does. Returns the document, or its errors as clients see them. Cached, because
   * running all plugins each time would be a sixth of the cost of a subscription.
   * @throws {GraphQLError} if the text cannot be parsed, or is too long
   */
  read(text: string, noteReading?: NoteReading): DocumentNode | readonly GraphQLError[];
  /** Whether the text is in the cache, so that reading it costs almost nothing. */
  isKnown(text: string): boolean;
  /** Creates a new context for each operation: loaders are attached to it. */
  createContext(transport: TransportContext): RequestContext;
}

const maxCachedBytes = 32_000_000;

export function createGraphqlEngine(options: GraphqlOptions): GraphqlEngine {
  const { deps, documents: trusted, maskError } = options;
  const cached = new LRUCache<string, DocumentNode>({ maxSize: maxCachedBytes, sizeCalculation: documentWeight });
  const documents = {
    get: (text: string) => trusted.find(text) ?? cached.get(text),
    set: (text: string, document: DocumentNode) => cached.set(text, document),
  };
  const isKnown = (text: string) => documents.get(text) !== undefined;
  const valid = new WeakSet<DocumentNode>();
  const createContext = ({ viewer, isBehind, cutOff, turns }: TransportContext) => ({
    deps,
    viewer,
    turnTaker: viewer?.userId ?? 0,
    isBehind,
    cutOff,
    turns,
  });
  const yoga = createYoga<HttpContext, RequestContext>({
    schema,
    // Copies the fields of the transport's context to a new object.
    context: createContext,
    plugins: [createEnginePlugin(options, isKnown)],
    maskedErrors: { maskError: (error) => maskError(error) },
    // Errors are not cached: they keep a lot of memory, and finding them again is cheap.
    parserAndValidationCache: { documentCache: documents, errorCache: forgetful },
    logging: false,
    graphiql: false,
    landingPage: false,
    cors: false,
    multipart: false,
    extraParamNames: ['documentId'],
    // The code that reads bodies has its own limit.
    maxRequestBodySize: false,
    healthCheckEndpoint: '/healthz',
  });
  const read = (text: string, noteReading?: NoteReading): DocumentNode | readonly GraphQLError[] => {
    const registered = trusted.find(text);
    if (registered !== undefined) return registered;
    const known = cached.get(text);
    if (known !== undefined && valid.has(known)) return known;
    const { parse, validate } = yoga.getEnveloped({ noteReading });
    const document: DocumentNode = parse(text);
    const problems = validate(schema, document);
    if (problems.length > 0) return problems;
    valid.add(document);
    return document;
  };
  const findText = (request: DocumentRequest) => trusted.findText(request) ?? '';
  return { schema, yoga, findText, read, isKnown, createContext };
}

const forgetful = { get: () => undefined, set: () => undefined };

function createEnginePlugin(options: GraphqlOptions, isKnown: (text: string) => boolean): Plugin {
  const { documents, maskError } = options;
  const reader = createDocumentReader(schema, options);
  const parse = (source: string | Source) => reader.parse(source instanceof Source ? source.body : source);
  const validate = (_schema: GraphQLSchema, document: DocumentNode) => {
    const isRegistered = documents.find(document.loc?.source.body ?? '') === document;
    return isRegistered ? [] : reader.validate(document);
  };
  return {
    onRequestParse: ({ requestParser, setRequestParser }) => {
      if (requestParser !== undefined) setRequestParser(reading(requestParser));
    },
    onParams: ({ params, setParams, context }) => {
      try {
        assertModest(params.variables);
        const text = documents.findText(params);
        if (text !== undefined) setParams({ ...params, query: text });
        return isKnown(text ?? params.query ?? '') ? undefined : (context as unknown as HttpContext).waitToRead();
      } catch (error) {
        throw withStatus(error);
      }
    },
    onParse: ({ context, setParseFn }) => setParseFn(timed(parse, context as Reading)),
    onValidate: ({ context, setValidationFn }) => {
      setValidationFn(timed(validate, context as Reading));
      // yoga masks what parsing and execution throw, not what validation finds.
      return ({ result, setResult }) => setResult(result.map(maskError));
    },
    onExecute: ({ setExecuteFn }) =>
      setExecuteFn((args: ExecutionArgs) => (args.contextValue as HttpContext).execute(args)),
    onExecutionResult: ({ result }) => {
      if (result !== undefined && 'errors' in result && result.data === undefined) setStatuses(result.errors ?? []);
    },
    onSubscribe: ({ setSubscribeFn }) =>
      setSubscribeFn((args: ExecutionArgs) => (args.contextValue as HttpContext).subscribe(args)),
  };
}

type RequestParser = Parameters<Parameters<NonNullable<Plugin['onRequestParse']>>[0]['setRequestParser']>[0];

/**
 * Completes yoga's parser for GET: yoga reports invalid JSON in a body, but throws a SyntaxError for the URL of a GET, and it
 * ignores a documentId there.
 */
const reading =
  (parseRequest: RequestParser): RequestParser =>
  async (request) => {
    try {
      const params = await parseRequest(request);
      if (request.method !== 'GET') return params;
      const documentId = new URL(request.url).searchParams.get('documentId') ?? undefined;
      return { ...params, documentId };
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      const extensions = { code: 'BAD_USER_INPUT', http: { status: 400 } };
      throw new GraphQLError('variables and extensions must be JSON', { extensions });
    }
  };

/** The context of a transport that measures reading. */
type Reading = Partial<Pick<HttpContext, 'noteReading'>>;

/** Measures the work. Cached documents are neither parsed nor validated again. */
const timed =
  <Args extends unknown[], Result>(work: (...args: Args) => Result, { noteReading }: Reading) =>
  (...args: Args): Result => {
    const startedAt = performance.now();
    const before = process.cpuUsage();
    try {
      return work(...args);
    } finally {
      const { user, system } = process.cpuUsage(before);
      // On a busy machine this process waits for a CPU meanwhile. Its other threads take CPU time, too.
      noteReading?.(Math.min(performance.now() - startedAt, (user + system) / 1_000));
    }
  };

/** Sets the HTTP status of an error before execution: no other code does. */
function withStatus(error: unknown): unknown {
  if (!(error instanceof ChatError)) return error;
  const extensions = { http: { status: statuses[error.code], spec: true } };
  return toGraphqlError(error, { extensions });
}

/**
 * Gives an answer without data the status of its error, for clients that accept `application/graphql-response+json`: this is
 * the meaning of yoga's `spec`. Other clients get 200.
 */
function setStatuses(errors: readonly GraphQLError[]): void {
  for (const { extensions } of errors)
    extensions.http ??= { status: statuses[extensions.code as ErrorCode], spec: true };
}
