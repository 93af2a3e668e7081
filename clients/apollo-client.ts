import { ApolloClient, ApolloLink, CombinedGraphQLErrors, HttpLink } from '@apollo/client';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { OperationTypeNode } from 'graphql';
import type { Client } from 'graphql-ws';
import { firstValueFrom, from } from 'rxjs';
import { createCache } from './apollo-cache.js';
import { codeOf, retryAfterMsOf } from './apollo-room.js';
import { createAuthorizedFetch } from './authorized-fetch.js';
import type { FreshToken } from './resume.js';
import { sendInOrder } from './retry.js';

/** Apollo Client 4: subscriptions over a socket of `createResumingSocket`, everything else over HTTP. */
export function createApolloClient(url: string, socket: Client, freshToken: FreshToken): ApolloClient {
  const link = ApolloLink.split(
    ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
    new GraphQLWsLink(socket),
    new HttpLink({ uri: url, fetch: createAuthorizedFetch(freshToken) }),
  );
  return new ApolloClient({ link: repeating.concat(link), cache: createCache() });
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
