import { type DocumentNode, type ExecutionArgs, type ExecutionResult, execute, GraphQLError } from 'graphql';
import { type CompiledQuery, compileQuery, isCompiledQuery } from 'graphql-jit';
import { LRUCache } from 'lru-cache';
import { findExcess } from '../../schema/bill.js';
import { findBadArgument } from '../../schema/checked.js';
import { findTooLargeAnswer, findTooManyFields } from '../../schema/complexity.js';
import { findOperation } from '../../schema/operation.js';
import { findCompilable } from './compilable.js';
import type { RequestContext } from './context.js';

export type Execute = (args: ExecutionArgs) => ExecutionResult | Promise<ExecutionResult>;

/** Each costs 4 KB. */
const maxCompiledSelections = 20_000;

/**
 * `execute` of graphql, which compiles a document that a viewer sends again: a list of fifty rooms costs a fifth then.
 * Only what `findCompilable` lets through is compiled, and variables are checked by graphql: graphql-jit's own way is
 * worded otherwise, and a deep value overflows its stack.
 */
export function createExecute(): Execute {
  const seen = new WeakSet<DocumentNode>();
  const compiled = new LRUCache<DocumentNode, { readonly query: CompiledQuery['query'] | null }>({
    maxSize: maxCompiledSelections,
  });

  const findCompiled = ({ schema, document, contextValue }: ExecutionArgs): CompiledQuery['query'] | null => {
    const known = compiled.get(document);
    if (known !== undefined) return known.query;
    const context = contextValue as RequestContext;
    if (!context.isShared && context.viewer === null) return null;
    if (!seen.has(document)) {
      seen.add(document);
      return null;
    }
    const compilable = findCompilable(document);
    if (compilable === null) return null;
    const result = compileQuery(schema, document);
    const query = isCompiledQuery(result) ? result.query : null;
    compiled.set(document, { query }, { size: compilable.selections });
    return query;
  };

  return (args) => {
    const refusal = findBadArgument(args) ?? findTooManyFields(args) ?? findTooLargeAnswer(args);
    if (refusal !== null) return { errors: [refusal] };
    const query = findCompiled(args);
    if (query === null || findOperation(args) === null) return refuseWhole(execute(args), args);
    // Without a prototype: a variable that is called like one of its properties may be absent.
    const variables = Object.assign(Object.create(null), args.variableValues);
    const result = query(args.rootValue, args.contextValue, variables);
    const locate = (executed: ExecutionResult) => locateErrors(executed, args.document);
    return refuseWhole(result instanceof Promise ? result.then(locate) : locate(result), args);
  };
}

/** Without data, where its lists turned out to be more than one operation can have. */
function refuseWhole(executed: ExecutionResult | Promise<ExecutionResult>, { contextValue }: ExecutionArgs) {
  if (executed instanceof Promise) return executed.then(refuse);
  return refuse(executed);
  function refuse(result: ExecutionResult): ExecutionResult {
    const excess = result.errors === undefined ? undefined : findExcess(contextValue as RequestContext);
    return excess === undefined ? result : { errors: [excess] };
  }
}

/** As graphql tells of them: an error in a result has a place in the document, and a cause where something is missing. */
function locateErrors(result: ExecutionResult, { loc }: DocumentNode): ExecutionResult {
  if (result.errors === undefined) return result;
  const source = loc?.source;
  const lineStarts = [0, ...[...(source?.body ?? '').matchAll(/\r\n|[\n\r]/g)].map((end) => end.index + end[0].length)];
  const errors = result.errors.map(
    ({ message, locations, path, originalError }) =>
      new GraphQLError(message, {
        source: source ?? null,
        positions: locations?.map(({ line, column }) => (lineStarts[line - 1] ?? 0) + column - 1) ?? null,
        path: path ?? null,
        originalError: originalError ?? new Error(message),
      }),
  );
  return { ...result, errors };
}
