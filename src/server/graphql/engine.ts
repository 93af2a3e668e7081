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

/** What a transport gives for one operation. */
export type TransportContext = Omit<RequestContext, 'deps'>;

/** Takes note of what it took to parse or to validate a document that was not known, in milliseconds. */
export type NoteReading = (ms: number) => void;

/** The same over HTTP, where a subscription may find nobody to read it. */
export interface HttpContext extends TransportContext {
  readonly noteReading: NoteReading;
  readonly execute: (args: ExecutionArgs) => Promise<ExecutionResult>;
  /** Answers with an error alone: results go their own way. */
  readonly subscribe: (args: ExecutionArgs) => Promise<ExecutionResult>;
}

/** Documents and context for every transport. */
export interface GraphqlEngine {
  readonly schema: GraphQLSchema;
  /** Runs what comes over HTTP. */
  readonly yoga: YogaServerInstance<HttpContext, RequestContext>;
  /**
   * The text of the document that a request means; empty where it means none.
   * @throws {ChatError} DOCUMENT_NOT_REGISTERED, BAD_USER_INPUT
   */
  findText(request: DocumentRequest): string;
  /**
   * The document that the text stands for, or what is wrong with it, as clients are told. Parsed and validated as yoga does
   * it, once for as long as it is kept: all plugins each time would be a sixth of what a subscription costs.
   * @throws {GraphQLError} where it cannot be parsed, or is too long to try
   */
  read(text: string, noteReading?: NoteReading): DocumentNode | readonly GraphQLError[];
  /** Whether the text was read not long ago, which costs next to nothing again. */
  isKnown(text: string): boolean;
  /** Fresh for each operation: loaders hang on it. */
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
  const valid = new WeakSet<DocumentNode>();
  const createContext = ({ viewer, isBehind, cutOff, turns }: TransportContext) => ({
    deps,
    viewer,
    isBehind,
    cutOff,
    turns,
  });
  const yoga = createYoga<HttpContext, RequestContext>({
    schema,
    // Callable fields of the transport's context are wanted on the fresh object that this makes.
    context: createContext,
    plugins: [createEnginePlugin(options)],
    maskedErrors: { maskError: (error) => maskError(error) },
    // An error keeps all that its parser had read, and is no more work than a look at it is worth.
    parserAndValidationCache: { documentCache: documents, errorCache: forgetful },
    logging: false,
    graphiql: false,
    landingPage: false,
    cors: false,
    multipart: false,
    extraParamNames: ['documentId'],
    // Who reads the body has its own limit, and never holds more.
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
  const isKnown = (text: string) => documents.get(text) !== undefined;
  const findText = (request: DocumentRequest) => trusted.findText(request) ?? '';
  return { schema, yoga, findText, read, isKnown, createContext };
}

const forgetful = { get: () => undefined, set: () => undefined };

function createEnginePlugin(options: GraphqlOptions): Plugin {
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
    onParams: ({ params, setParams }) => {
      try {
        assertModest(params.variables);
        const text = documents.findText(params);
        if (text !== undefined) setParams({ ...params, query: text });
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
 * yoga itself words what is no JSON in a body, and takes it for a bug of ours in the address of a GET. It does not look for a
 * documentId there.
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

/** A transport that wants to know. */
type Reading = Partial<Pick<HttpContext, 'noteReading'>>;

/** A document that is known is neither parsed nor validated again, and takes no time. */
const timed =
  <Args extends unknown[], Result>(work: (...args: Args) => Result, { noteReading }: Reading) =>
  (...args: Args): Result => {
    const startedAt = performance.now();
    try {
      return work(...args);
    } finally {
      noteReading?.(performance.now() - startedAt);
    }
  };

/** Where nothing was executed, nothing else sets it. */
function withStatus(error: unknown): unknown {
  if (!(error instanceof ChatError)) return error;
  const extensions = { http: { status: statuses[error.code], spec: true } };
  return new GraphQLError(error.message, { originalError: error, extensions });
}

/**
 * An answer without data has the status of its error for clients that accept `application/graphql-response+json`: that is
 * what yoga's `spec` says. Others get 200.
 */
function setStatuses(errors: readonly GraphQLError[]): void {
  for (const { extensions } of errors)
    extensions.http ??= { status: statuses[extensions.code as ErrorCode], spec: true };
}
