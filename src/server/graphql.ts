import {
  type DocumentNode,
  type GraphQLError,
  type GraphQLSchema,
  NoSchemaIntrospectionCustomRule,
  type ParseOptions,
  parse,
  Source,
  type ValidationRule,
  validate,
} from 'graphql';
import { createYoga, type Plugin, type YogaServerInstance } from 'graphql-yoga';
import { LRUCache } from 'lru-cache';
import type { Deps } from '../resolvers/deps.js';
import { schema } from '../schema/index.js';
import type { RequestContext } from './context.js';
import { assertReadable, createDocumentLimits, type DocumentLimits, type TextLimits } from './document-limits.js';
import { documentWeight } from './document-weight.js';
import type { MaskError } from './errors.js';
import type { Execute } from './execute.js';
import type { Subscribe } from './subscribe.js';

export interface GraphqlOptions extends DocumentLimits, TextLimits {
  readonly deps: Deps;
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
   * @throws {GraphQLError} where it cannot be parsed, or is too long to try
   */
  read(text: string): DocumentNode | readonly GraphQLError[];
  /** Fresh for each operation: loaders hang on it. */
  createContext(transport: TransportContext): RequestContext;
}

const maxCachedBytes = 32_000_000;
/** A client mends one mistake after the other, and each costs a search for its place. */
const maxMistakes = 5;

export function createGraphqlEngine(options: GraphqlOptions): GraphqlEngine {
  const { deps, maskError } = options;
  const documents = new LRUCache<string, DocumentNode>({ maxSize: maxCachedBytes, sizeCalculation: documentWeight });
  const valid = new WeakSet<DocumentNode>();
  const createContext = ({ viewer, isBehind, cutOff }: TransportContext) => ({ deps, viewer, isBehind, cutOff });
  const yoga = createYoga<TransportContext, RequestContext>({
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

const forgetful = { get: () => undefined, set: () => undefined };

function createEnginePlugin(options: GraphqlOptions): Plugin {
  const { introspection, maskError, execute, subscribe } = options;
  const documentLimits = createDocumentLimits(options);
  const { maxTokens } = options;
  const read = (source: string | Source, parsing?: ParseOptions) => {
    assertReadable(source instanceof Source ? source.body : source, options);
    return parse(source, { ...parsing, maxTokens });
  };
  const check = (schema: GraphQLSchema, document: DocumentNode, rules?: readonly ValidationRule[]) =>
    validate(schema, document, rules, { maxErrors: maxMistakes, hideSuggestions: !introspection });
  return {
    onParse: ({ setParseFn }) => setParseFn(read),
    onValidate: ({ addValidationRule, setValidationFn }) => {
      setValidationFn(check);
      addValidationRule(documentLimits);
      if (!introspection) addValidationRule(NoSchemaIntrospectionCustomRule);
      // yoga masks what parsing and execution throw, not what validation finds.
      return ({ result, setResult }) => setResult(result.map(maskError));
    },
    onExecute: ({ setExecuteFn }) => setExecuteFn(execute),
    onSubscribe: ({ setSubscribeFn }) => setSubscribeFn(subscribe),
  };
}
