import { typeOfNode } from '../resolvers/nodes.js';
import { builder } from './builder.js';

/** A type that implements it is also loaded by `getNode` in resolvers/nodes.ts and named by `typeOfNode` there. */
export const Node = builder.interfaceRef<{ readonly id: string | number }>('Node').implement({
  description: 'An object that can be fetched again by its id, with the query node.',
  resolveType: typeOfNode,
  fields: (t) => ({
    id: t.exposeID('id', { description: 'A UUID; the number of a user. To fetch user 5, pass `User:5` to node.' }),
  }),
});
