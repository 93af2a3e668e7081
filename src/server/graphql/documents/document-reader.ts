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

/** Parses and validates documents by the same rules, registered ones and those of clients. */
export interface DocumentReader {
  /** @throws {GraphQLError} if it cannot be parsed or is too long */
  parse(text: string): DocumentNode;
  /** Returns the first errors; an empty list if the document is valid. */
  validate(document: DocumentNode): readonly GraphQLError[];
}

/** A few are enough: developers correct one error after the other, and locating each takes time. */
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
