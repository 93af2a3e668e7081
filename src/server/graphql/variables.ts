import type { OperationDefinitionNode } from 'graphql';
import { ChatError } from '../../domain/errors.js';

export type Variables = Readonly<Record<string, unknown>>;

/** No input of the schema nests deeper than a few objects and lists; a list has at most 10,000 users, by configuration. */
const maxDepth = 32;
export const maxValues = 25_000;

/** Stands for variables that were not even parsed, because they are too many. */
export const excessiveVariables: Variables = Object.freeze({});

/** The refusal of variables that nest too deep, or have too many values. */
export const tooManyVariables = (): ChatError =>
  new ChatError(
    'BAD_USER_INPUT',
    `Variables may nest at most ${maxDepth} levels deep, and have at most ${maxValues} values`,
  );

/**
 * Limits variables, because later code (coercion, comparison, error messages) walks through them recursively without a limit.
 * @throws {ChatError} BAD_USER_INPUT if they nest too deep, or have too many values
 */
export function assertModest(variables: unknown): void {
  if (variables === excessiveVariables) throw tooManyVariables();
  let values = 0;
  const walk = (value: unknown, depth: number): void => {
    if (typeof value !== 'object' || value === null) return;
    if (depth > maxDepth) throw tooManyVariables();
    for (const inner of Array.isArray(value) ? value : Object.values(value)) {
      values += 1;
      if (values > maxValues) throw tooManyVariables();
      walk(inner, depth + 1);
    }
  };
  walk(variables, 1);
}

/** Only the declared variables: others would be kept in memory as long as the operation runs. */
export function declaredVariables(
  { variableDefinitions = [] }: OperationDefinitionNode,
  given: Variables | null | undefined,
): Variables {
  const declared: Record<string, unknown> = {};
  for (const { variable } of variableDefinitions) {
    const name = variable.name.value;
    if (given != null && Object.hasOwn(given, name)) declared[name] = given[name];
  }
  return declared;
}
