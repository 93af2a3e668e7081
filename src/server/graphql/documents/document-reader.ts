import {
  type DocumentNode,
  type GraphQLError,
  type GraphQLSchema,
  NoSchemaIntrospectionCustomRule,
  parse,
  specifiedRules,
  validate,
} from 'graphql';
import {
  assertReadable,
  createDocumentLimits,
  type DocumentLimits,
  type TextLimits,
} from '../limits/document-limits.js';
import { findOverlaps } from '../limits/field-overlap.js';
import { constantSubscriptionRoot } from '../subscription-root.js';

export interface ReaderOptions extends DocumentLimits, TextLimits {
  readonly introspection: boolean;
}

/** The same rules for every document, registered or sent by a client. */
export interface DocumentReader {
  /** @throws {GraphQLError} where it cannot be parsed, or is too long to try */
  parse(text: string): DocumentNode;
  /** The first mistakes, or none. */
  validate(document: DocumentNode): readonly GraphQLError[];
}

/** A client mends one mistake after the other, and each costs a search for its place. */
const maxMistakes = 5;

export function createDocumentReader(schema: GraphQLSchema, options: ReaderOptions): DocumentReader {
  const { introspection, maxTokens } = options;
  const rules = [...specifiedRules, createDocumentLimits(options), constantSubscriptionRoot];
  if (!introspection) rules.push(NoSchemaIntrospectionCustomRule);
  return {
    parse: (text) => {
      assertReadable(text, options);
      return parse(text, { maxTokens });
    },
    validate: (document) => {
      const excess = findOverlaps(document);
      if (excess !== undefined) return [excess];
      return validate(schema, document, rules, { maxErrors: maxMistakes, hideSuggestions: !introspection });
    },
  };
}
