import {
  type DocumentNode,
  type ExecutionArgs,
  type ExecutionResult,
  execute,
  GraphQLError,
  getVariableValues,
} from 'graphql';
import { type CompiledQuery, compileQuery, isCompiledQuery } from 'graphql-jit';
import { LRUCache } from 'lru-cache';
import { findCompilable } from './compilable.js';
import type { RequestContext } from './context.js';

export type Execute = (args: ExecutionArgs) => ExecutionResult | Promise<ExecutionResult>;

const maxCompiled = 500;

/**
 * `execute` of graphql, which compiles a document that a viewer sends again: a list of fifty rooms costs a fifth then.
 * Only what `findCompilable` lets through is compiled, and variables are checked by graphql: graphql-jit's own way is
 * worded otherwise, and a deep value overflows its stack.
 */
export function createExecute(): Execute {
  const seen = new WeakSet<DocumentNode>();
  const compiled = new LRUCache<DocumentNode, { readonly query: CompiledQuery['query'] | null }>({ max: maxCompiled });

  const findCompiled = ({ schema, document, contextValue }: ExecutionArgs): CompiledQuery['query'] | null => {
    const known = compiled.get(document);
    if (known !== undefined) return known.query;
    if ((contextValue as RequestContext).viewer === null) return null;
    if (!seen.has(document)) {
      seen.add(document);
      return null;
    }
    const result = findCompilable(document) === null ? undefined : compileQuery(schema, document);
    const query = result !== undefined && isCompiledQuery(result) ? result.query : null;
    compiled.set(document, { query });
    return query;
  };

  return (args) => {
    const query = findCompiled(args);
    if (query === null || !isAsked(args)) return execute(args);
    const result = query(args.rootValue, args.contextValue, args.variableValues ?? {});
    return result instanceof Promise ? result.then(locateErrors) : locateErrors(result);
  };
}

/** The operation that there is, with variables that fit it. */
function isAsked({ schema, document, operationName, variableValues }: ExecutionArgs): boolean {
  const operation = findCompilable(document);
  if (operation === null || (operationName != null && operationName !== operation.name?.value)) return false;
  const definitions = operation.variableDefinitions ?? [];
  return getVariableValues(schema, definitions, variableValues ?? {}, { maxErrors: 1 }).errors === undefined;
}

/** As graphql tells of them: an error in a result has a cause, also where it is that something is missing. */
function locateErrors(result: ExecutionResult): ExecutionResult {
  if (result.errors === undefined) return result;
  const errors = result.errors.map(
    ({ message, nodes, path, originalError }) =>
      new GraphQLError(message, {
        nodes: nodes ?? null,
        path: path ?? null,
        originalError: originalError ?? new Error(message),
      }),
  );
  return { ...result, errors };
}
