import {
  type DocumentNode,
  type GraphQLError,
  type GraphQLSchema,
  NoSchemaIntrospectionCustomRule,
  parse,
} from 'graphql';
import { createYoga, type Plugin, type YogaServerInstance } from 'graphql-yoga';
import { LRUCache } from 'lru-cache';
import type { Deps } from '../resolvers/deps.js';
import { schema } from '../schema/index.js';
import type { RequestContext } from './context.js';
import { createDocumentLimits, type DocumentLimits } from './document-limits.js';
import type { MaskError } from './errors.js';
import type { Execute } from './execute.js';
import type { Subscribe } from './subscribe.js';

export interface GraphqlOptions extends DocumentLimits {
  readonly deps: Deps;
  readonly maxTokens: number;
  readonly introspection: boolean;
  readonly maskError: MaskError;
  readonly execute: Execute;
  readonly subscribe: Subscribe;
}

/** What a transport gives for one operation. */
export type TransportContext = Omit<RequestContext, 'deps'>;

/** Documents and context for every transport. */
export interface GraphqlEngine {
  readonly schema: GraphQLSchema;
  /** Runs what comes over HTTP. */
  readonly yoga: YogaServerInstance<TransportContext, RequestContext>;
  /**
   * The document that the text stands for, or what is wrong with it, as clients are told. Parsed and validated as yoga does
   * it, once for as long as it is kept: all plugins each time would be a sixth of what a subscription costs.
   * @throws {GraphQLError} where it cannot be parsed
   */
  read(text: string): DocumentNode | readonly GraphQLError[];
  /** Fresh for each operation: loaders hang on it. */
  createContext(transport: TransportContext): RequestContext;
}

const maxCachedDocumentChars = 4_000_000;

export function createGraphqlEngine(options: GraphqlOptions): GraphqlEngine {
  const { deps, maskError } = options;
  const documents = createDocumentCache<DocumentNode>();
  const valid = new WeakSet<DocumentNode>();
  const createContext = ({ viewer, isBehind, cutOff }: TransportContext) => ({ deps, viewer, isBehind, cutOff });
  const yoga = createYoga<TransportContext, RequestContext>({
    schema,
    // Callable fields of the transport's context are wanted on the fresh object that this makes.
    context: createContext,
    plugins: [createEnginePlugin(options)],
    maskedErrors: { maskError: (error) => maskError(error) },
    parserAndValidationCache: { documentCache: documents, errorCache: createDocumentCache() },
    logging: false,
    graphiql: false,
    landingPage: false,
    cors: false,
    multipart: false,
    // Who reads the body has its own limit, and never holds more.
    maxRequestBodySize: false,
    healthCheckEndpoint: '/healthz',
  });
  const read = (text: string): DocumentNode | readonly GraphQLError[] => {
    const known = documents.get(text);
    if (known !== undefined && valid.has(known)) return known;
    const { parse, validate } = yoga.getEnveloped();
    const document: DocumentNode = parse(text);
    const problems = validate(schema, document);
    if (problems.length > 0) return problems;
    valid.add(document);
    return document;
  };
  return { schema, yoga, read, createContext };
}

function createEnginePlugin({
  maxTokens,
  maxDepth,
  maxAliases,
  introspection,
  maskError,
  execute,
  subscribe,
}: GraphqlOptions): Plugin {
  const documentLimits = createDocumentLimits({ maxDepth, maxAliases });
  return {
    onParse: ({ setParseFn }) => setParseFn((source, options) => parse(source, { ...options, maxTokens })),
    onValidate: ({ addValidationRule }) => {
      addValidationRule(documentLimits);
      if (!introspection) addValidationRule(NoSchemaIntrospectionCustomRule);
      // yoga masks what parsing and execution throw, not what validation finds.
      return ({ result, setResult }) => setResult(result.map(maskError));
    },
    onExecute: ({ setExecuteFn }) => setExecuteFn(execute),
    onSubscribe: ({ setSubscribeFn }) => setSubscribeFn(subscribe),
  };
}

/** Bounded by what the documents weigh: a thousand of the largest would be a quarter of a gigabyte. */
const createDocumentCache = <Value extends DocumentNode | unknown>() =>
  new LRUCache<string, Value & object>({
    maxSize: maxCachedDocumentChars,
    sizeCalculation: (_value, source) => source.length + 1,
  });
