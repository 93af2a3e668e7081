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

/** What is selected of an object, so that it is read in one statement with it. */
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

  /** Of what the resolved field answers. */
  static of(info: GraphQLResolveInfo): Selection {
    return new Selection(info, getNamedType(info.returnType), info.fieldNodes);
  }

  /** Of what these fields answer, all of them of one type. */
  into(...names: readonly string[]): Selection {
    const nodes = this.#nodes.filter((node) => names.includes(node.name.value));
    const field = this.#type?.getFields()[nodes[0]?.name.value ?? ''];
    return new Selection(this.#operation, field && getNamedType(field.type), nodes);
  }

  /** Of a connection's nodes. */
  get ofNodes(): Selection {
    return this.into('edges').into('node');
  }

  /** Those of the fields that are selected. What is selected with arguments is left out: it may be something else. */
  choose<Name extends string>(names: readonly Name[]): Name[] {
    const plain = this.#nodes.filter((node) => node.arguments === undefined || node.arguments.length === 0);
    return names.filter((name) => plain.some((node) => node.name.value === name));
  }

  /** How many fields it touches in one object of the type. */
  price(pricing: Pricing): number {
    if (this.#type === undefined) return 0;
    return priceOf(this.#type, [{ kind: Kind.SELECTION_SET, selections: this.#nodes }], pricing);
  }

  /** The arguments of the field where it is selected; where it is more than once, those of one of them. */
  argumentsOf(name: string): Record<string, unknown> | undefined {
    const node = this.#nodes.find((each) => each.name.value === name);
    const field = this.#type?.getFields()[name];
    return node && field && getArgumentValues(field, node, this.#operation.variableValues);
  }
}
