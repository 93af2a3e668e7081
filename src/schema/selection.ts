import { collectSubFields } from '@graphql-tools/utils';
import {
  type FieldNode,
  type GraphQLObjectType,
  type GraphQLResolveInfo,
  getArgumentValues,
  getNamedType,
  isObjectType,
  Kind,
} from 'graphql';
import { type Pricing, priceOf } from './price.js';

type Operation = Pick<GraphQLResolveInfo, 'schema' | 'fragments' | 'variableValues'>;

/** The fields that an operation selects on an object, so that they can be loaded in the same statement as the object. */
export class Selection {
  readonly #operation: Operation;
  readonly #type: GraphQLObjectType | undefined;
  readonly #nodes: readonly FieldNode[];

  constructor(operation: Operation, type: unknown, nodes: readonly FieldNode[]) {
    const { schema, fragments, variableValues } = operation;
    this.#operation = operation;
    this.#type = isObjectType(type) ? type : undefined;
    this.#nodes =
      this.#type === undefined
        ? []
        : [...collectSubFields(schema, fragments, variableValues, this.#type, [...nodes]).fields.values()].flat();
  }

  /**
   * The selection on the resolver's return type.
   * @param typeName - one of its object types, if it is an interface
   */
  static of(info: GraphQLResolveInfo, typeName?: string): Selection {
    const type = typeName === undefined ? getNamedType(info.returnType) : info.schema.getType(typeName);
    return new Selection(info, type, info.fieldNodes);
  }

  /** The selection below the fields with these names, which must all have the same type. */
  into(...names: readonly string[]): Selection {
    const nodes = this.#nodes.filter((node) => names.includes(node.name.value));
    const field = this.#type?.getFields()[nodes[0]?.name.value ?? ''];
    return new Selection(this.#operation, field && getNamedType(field.type), nodes);
  }

  /** The selection on the nodes of a connection. */
  get ofNodes(): Selection {
    return this.into('edges').into('node');
  }

  /** The names that are selected without arguments: with arguments, the field may have a different value. */
  choose<Name extends string>(names: readonly Name[]): Name[] {
    const plain = this.#nodes.filter((node) => node.arguments === undefined || node.arguments.length === 0);
    return names.filter((name) => plain.some((node) => node.name.value === name));
  }

  /** How many fields the selection touches in one object. */
  price(pricing: Pricing): number {
    if (this.#type === undefined) return 0;
    return priceOf(this.#type, [{ kind: Kind.SELECTION_SET, selections: this.#nodes }], pricing);
  }

  /** The arguments of the field if it is selected; if it is selected more than once, those of the first. */
  argumentsOf(name: string): Record<string, unknown> | undefined {
    const node = this.#nodes.find((each) => each.name.value === name);
    const field = this.#type?.getFields()[name];
    return node && field && getArgumentValues(field, node, this.#operation.variableValues);
  }
}
