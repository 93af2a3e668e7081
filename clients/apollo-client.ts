import { ApolloClient, ApolloLink, HttpLink } from '@apollo/client';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { OperationTypeNode } from 'graphql';
import type { Client } from 'graphql-ws';
import { createCache } from './apollo-cache.js';
import { createAuthorizedFetch } from './authorized-fetch.js';
import type { FreshToken } from './resume.js';

/** Apollo Client 4: subscriptions over a socket of `createResumingSocket`, everything else over HTTP. */
export function createApolloClient(url: string, socket: Client, freshToken: FreshToken): ApolloClient {
  const link = ApolloLink.split(
    ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
    new GraphQLWsLink(socket),
    new HttpLink({ uri: url, fetch: createAuthorizedFetch(freshToken) }),
  );
  return new ApolloClient({ link, cache: createCache() });
}
