import { ApolloClient, ApolloLink, CombinedGraphQLErrors, HttpLink } from '@apollo/client';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { OperationTypeNode } from 'graphql';
import type { Client } from 'graphql-ws';
import { firstValueFrom, from, map } from 'rxjs';
import { createCache } from './apollo-cache.js';
import { codeOf, retryAfterMsOf } from './apollo-room.js';
import { createAuthorizedFetch } from './authorized-fetch.js';
import { createNewest } from './newest.js';
import type { FreshToken } from './resume.js';
import { sendInOrder } from './retry.js';

/** Apollo Client 4: subscriptions over a socket of `createResumingSocket`, everything else over HTTP. */
export function createApolloClient(url: string, socket: Client, freshToken: FreshToken): ApolloClient {
  const link = ApolloLink.split(
    ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
    new GraphQLWsLink(socket),
    new HttpLink({ uri: url, fetch: createAuthorizedFetch(freshToken) }),
  );
  const newest = createNewest();
  const ordering = new ApolloLink((operation, forward) =>
    forward(operation).pipe(map((result) => newest(withUsers(result)))),
  );
  return new ApolloClient({ link: ordering.concat(repeating).concat(link), cache: createCache() });
}

/** Adds to each presence of a user whose it is: the store keeps it by that. */
function withUsers<Value>(value: Value, parent: Readonly<Record<string, unknown>> = {}): Value {
  if (Array.isArray(value)) return value.map((item: unknown) => withUsers(item)) as Value;
  if (typeof value !== 'object' || value === null) return value;
  const { __typename, id } = parent;
  const isOfUser = (value as { __typename?: unknown }).__typename === 'Presence' && __typename === 'User';
  const fields = Object.entries(value).map(([name, field]) => [name, withUsers(field, value as typeof parent)]);
  return { ...(isOfUser && id !== undefined ? { user: { __typename, id } } : {}), ...Object.fromEntries(fields) };
}

/**
 * Sends what changes a room (`context: { inOrderOf: roomId }`) in order, and repeats it, below the store: that would take a message
 * back between two attempts.
 */
const repeating = new ApolloLink((operation, forward) => {
  const { inOrderOf: roomId } = operation.getContext() as { readonly inOrderOf?: string };
  if (roomId === undefined) return forward(operation);
  const attempt = async () => {
    const result = await firstValueFrom(forward(operation));
    if (result.errors !== undefined) throw new CombinedGraphQLErrors(result);
    return result;
  };
  return from(sendInOrder(operation.client, roomId, attempt, codeOf, retryAfterMsOf));
});
