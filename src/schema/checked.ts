import { shouldIncludeNode } from '@graphql-tools/utils';
import {
  type ExecutionArgs,
  type FieldNode,
  type GraphQLError,
  type GraphQLField,
  type GraphQLNamedType,
  getArgumentValues,
  getNamedType,
  Kind,
  type OperationDefinitionNode,
  type SelectionNode,
  type SelectionSetNode,
} from 'graphql';
import { ChatError } from '../domain/errors.js';
import type { Limits } from '../resolvers/deps.js';
import type { Context } from './context.js';
import { toGraphqlError } from './graphql-error.js';
import { findField, findFragment, findOperation, type Operation } from './operation.js';

/** @throws {ChatError} BAD_USER_INPUT if an argument of the field is invalid */
export type CheckArguments<Arguments> = (args: Arguments, limits: Limits) => void;

/**
 * Checks a field's arguments before the operation is executed. If the resolver refused them instead, GraphQL would null the
 * nearest nullable parent: a room with a too large page would look as if it did not exist, and a mutation would be done
 * without an answer.
 */
export const checked = <Arguments>(check: CheckArguments<Arguments>) => ({ extensions: { checkArguments: check } });

/** The error of the first checked field with invalid arguments, or null. Fields that @skip or @include excludes are ignored. */
export function findBadArgument(args: ExecutionArgs): GraphQLError | null {
  const found = findOperation(args);
  // Execution reports a missing operation or invalid variables.
  if (found === null) return null;
  const checks = checksOf(found);
  if (checks.length === 0) return null;
  const { limits } = (args.contextValue as Context).deps;
  return findFirst(checks, { variables: found.variableValues, limits, seen: new Set() });
}

/** The inputs of a check other than the document. */
interface Given {
  readonly variables: Record<string, unknown>;
  readonly limits: Limits;
  /** The fragments whose checks have run: each runs once. */
  readonly seen: Set<readonly Check[]>;
}

/** Returns the error in the arguments of a field or of a field below it, or null. */
type Check = (given: Given) => GraphQLError | null;

type Parent = GraphQLNamedType | undefined;

function findFirst(checks: readonly Check[], given: Given): GraphQLError | null {
  for (const check of checks) {
    const found = check(given);
    if (found !== null) return found;
  }
  return null;
}

/** Keyed by operation; the parser's cache returns the same object for the same text. Most operations have no checks. */
const known = new WeakMap<OperationDefinitionNode, readonly Check[]>();

function checksOf({ schema, operation, fragments }: Operation): readonly Check[] {
  let checks = known.get(operation);
  if (checks === undefined) {
    const found: Check[] = [];
    const root = schema.getRootType(operation.operation) ?? undefined;
    addChecks(root, operation.selectionSet, { schema, fragments, ofFragments: new Map() }, found);
    checks = found;
    known.set(operation, checks);
  }
  return checks;
}

interface Search extends Pick<Operation, 'schema' | 'fragments'> {
  readonly ofFragments: Map<SelectionSetNode, Check[]>;
}

/** Adds the checks of all selected fields. Behind @skip or @include a check runs only if the field is included. */
function addChecks(parent: Parent, { selections }: SelectionSetNode, search: Search, checks: Check[]): void {
  for (const selection of selections) {
    if (selection.directives === undefined || selection.directives.length === 0) {
      addChecksOf(parent, selection, search, checks);
      continue;
    }
    const inner: Check[] = [];
    addChecksOf(parent, selection, search, inner);
    if (inner.length === 0) continue;
    checks.push((given) => (shouldIncludeNode(given.variables, selection) ? findFirst(inner, given) : null));
  }
}

function addChecksOf(parent: Parent, selection: SelectionNode, search: Search, checks: Check[]): void {
  if (selection.kind === Kind.FIELD) {
    const field = findField(parent, selection);
    const check = field && checkOf(field, selection);
    if (check !== undefined) checks.push(check);
    if (field === undefined || selection.selectionSet === undefined) return;
    addChecks(getNamedType(field.type), selection.selectionSet, search, checks);
    return;
  }
  const fragment = findFragment(parent, selection, search);
  if (fragment === undefined) return;
  const { type, selectionSet } = fragment;
  if (selection.kind === Kind.INLINE_FRAGMENT) {
    addChecks(type, selectionSet, search, checks);
    return;
  }
  let inner = search.ofFragments.get(selectionSet);
  if (inner === undefined) {
    inner = [];
    search.ofFragments.set(selectionSet, inner);
    addChecks(type, selectionSet, search, inner);
  }
  if (inner.length > 0) checks.push((given) => findOnce(inner, given));
}

function findOnce(checks: readonly Check[], given: Given): GraphQLError | null {
  if (given.seen.has(checks)) return null;
  given.seen.add(checks);
  return findFirst(checks, given);
}

function checkOf(field: GraphQLField<unknown, unknown>, node: FieldNode): Check | undefined {
  const check = field.extensions.checkArguments as CheckArguments<Record<string, unknown>> | undefined;
  if (check === undefined) return undefined;
  return ({ variables, limits }) => {
    try {
      check(getArgumentValues(field, node, variables), limits);
      return null;
    } catch (error) {
      // Execution reports any other error.
      return error instanceof ChatError ? toGraphqlError(error, { nodes: node }) : null;
    }
  };
}
