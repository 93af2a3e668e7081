import SchemaBuilder, { BasePlugin, type PothosOutputFieldConfig, type SchemaTypes } from '@pothos/core';
import type { GraphQLFieldResolver } from 'graphql';
import { assertAuthenticated } from '../resolvers/access.js';

const pluginName = 'gate';
export default pluginName;

/** Refuses queries, mutations and subscriptions without a token, so that every resolver has a viewer. */
class GatePlugin<Types extends SchemaTypes> extends BasePlugin<Types> {
  override wrapResolve(
    resolve: GraphQLFieldResolver<unknown, Types['Context'], object>,
    { kind }: PothosOutputFieldConfig<Types>,
  ): GraphQLFieldResolver<unknown, Types['Context'], object> {
    return kind === 'Query' || kind === 'Mutation' ? behindGate(resolve) : resolve;
  }

  override wrapSubscribe(
    subscribe: GraphQLFieldResolver<unknown, Types['Context'], object> | undefined,
  ): GraphQLFieldResolver<unknown, Types['Context'], object> | undefined {
    return subscribe && behindGate(subscribe);
  }
}

const behindGate =
  <Parent, Context extends object, Args>(resolve: GraphQLFieldResolver<Parent, Context, Args>): typeof resolve =>
  (parent, args, context, info) => {
    assertAuthenticated(context as { viewer?: unknown });
    return resolve(parent, args, context, info);
  };

SchemaBuilder.registerPlugin(pluginName, GatePlugin);

declare global {
  export namespace PothosSchemaTypes {
    export interface Plugins<Types extends SchemaTypes> {
      gate: GatePlugin<Types>;
    }
  }
}
