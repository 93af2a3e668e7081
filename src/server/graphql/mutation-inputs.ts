import {
  type DocumentNode,
  type FragmentDefinitionNode,
  Kind,
  type OperationDefinitionNode,
  type SelectionSetNode,
  type ValueNode,
} from 'graphql';
import { type MutationInput, readId } from './room-turns.js';

type Variables = Readonly<Record<string, unknown>> | null | undefined;

/** A mutation's name and its argument `input`. */
interface MutationField {
  readonly name: string;
  readonly input: ValueNode;
}

const known = new WeakMap<OperationDefinitionNode, readonly MutationField[]>();

/**
 * The rooms that the mutations of an operation change, from its document and variables before they are checked: invalid ids
 * are refused later. Ignores directives: a skipped mutation that is listed does no harm.
 */
export function findMutationInputs(
  document: DocumentNode,
  operation: OperationDefinitionNode,
  variables: Variables,
): MutationInput[] {
  const fields = known.get(operation) ?? findFields(document, operation.selectionSet);
  known.set(operation, fields);
  return fields.map(({ name, input }) => {
    const id = (of: string) => readId(findValue(input, of, { operation, variables }));
    const sends = name === 'sendMessage';
    // A message with files takes a way of its own to the database, on which texts would overtake it.
    const isSend = sends && findValue(input, 'attachmentIds', { operation, variables }) == null;
    return { roomId: id('roomId'), messageId: id(sends ? 'id' : 'messageId'), isSend };
  });
}

/** Visits each fragment once: another spread of it selects the same fields. */
function findFields(document: DocumentNode, root: SelectionSetNode): MutationField[] {
  const fragments = new Map<string, FragmentDefinitionNode>();
  for (const definition of document.definitions) {
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition);
  }
  const fields: MutationField[] = [];
  const sets = [root];
  for (let set = sets.pop(); set !== undefined; set = sets.pop()) {
    for (const selection of set.selections) {
      if (selection.kind === Kind.FIELD) {
        const input = selection.arguments?.find(({ name }) => name.value === 'input')?.value;
        if (input !== undefined) fields.push({ name: selection.name.value, input });
      } else if (selection.kind === Kind.INLINE_FRAGMENT) {
        sets.push(selection.selectionSet);
      } else {
        const fragment = fragments.get(selection.name.value);
        fragments.delete(selection.name.value);
        if (fragment !== undefined) sets.push(fragment.selectionSet);
      }
    }
  }
  return fields;
}

interface Scope {
  readonly operation: OperationDefinitionNode;
  readonly variables: Variables;
}

/** A field of an input object, which may be a literal, a variable, or a literal with variables in it. */
function findValue(input: ValueNode | undefined, name: string, scope: Scope): unknown {
  if (input?.kind === Kind.VARIABLE) {
    const { given, preset } = findVariable(input.name.value, scope);
    return given === undefined ? findValue(preset, name, scope) : propertyOf(given, name);
  }
  const value =
    input?.kind === Kind.OBJECT ? input.fields.find((field) => field.name.value === name)?.value : undefined;
  if (value?.kind !== Kind.VARIABLE) return textOf(value);
  const { given, preset } = findVariable(value.name.value, scope);
  return given === undefined ? textOf(preset) : given;
}

/** The given value of a variable and its default, which cannot contain variables. */
function findVariable(name: string, { operation, variables }: Scope) {
  const definition = operation.variableDefinitions?.find(({ variable }) => variable.name.value === name);
  return { given: variables?.[name], preset: definition?.defaultValue };
}

/** A text, or whether there is a list; undefined for anything else. */
const textOf = (node: ValueNode | undefined): string | true | undefined =>
  node?.kind === Kind.STRING ? node.value : node?.kind === Kind.LIST ? true : undefined;

const propertyOf = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>)[name] : undefined;
