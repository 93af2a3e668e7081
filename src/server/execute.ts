import {
  type DocumentNode,
  type ExecutionArgs,
  type ExecutionResult,
  execute,
  getOperationAST,
  getVariableValues,
} from 'graphql';
import { type CompiledQuery, compileQuery, isCompiledQuery } from 'graphql-jit';

export type Execute = (args: ExecutionArgs) => ExecutionResult | Promise<ExecutionResult>;

/**
 * `execute` of graphql, which compiles a document that comes again: a list of fifty rooms costs a fifth then. What comes
 * only once is not worth it. Variables are checked by graphql: graphql-jit's own way is worded otherwise, and a deep
 * value overflows its stack.
 */
export function createExecute(): Execute {
  const known = new WeakMap<DocumentNode, Map<string, CompiledQuery | 'new' | 'unfit'>>();

  const findCompiled = ({ schema, document, operationName }: ExecutionArgs): CompiledQuery | null => {
    const byName = known.get(document) ?? new Map<string, CompiledQuery | 'new' | 'unfit'>();
    known.set(document, byName);
    const name = operationName ?? '';
    let found = byName.get(name);
    if (found === undefined) byName.set(name, 'new');
    if (found === 'new') {
      const result = compileQuery(schema, document, operationName ?? undefined);
      found = isCompiledQuery(result) ? result : 'unfit';
      byName.set(name, found);
    }
    return typeof found === 'object' ? found : null;
  };

  return (args) => {
    const compiled = findCompiled(args);
    if (compiled === null || !hasGoodVariables(args)) return execute(args);
    return compiled.query(args.rootValue, args.contextValue, args.variableValues ?? {});
  };
}

function hasGoodVariables({ schema, document, operationName, variableValues }: ExecutionArgs): boolean {
  const definitions = getOperationAST(document, operationName)?.variableDefinitions ?? [];
  return getVariableValues(schema, definitions, variableValues ?? {}, { maxErrors: 1 }).errors === undefined;
}
