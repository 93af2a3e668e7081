import { Client, type ExecutionResult, fetchExchange, subscriptionExchange } from '@urql/core';
import type { Client as SocketClient } from 'graphql-ws';
import { createAuthorizedFetch } from './authorized-fetch.js';
import type { FreshToken } from './resume.js';

/** urql: subscriptions over a socket of `createResumingSocket`, everything else over HTTP. A cache goes in front. */
export function createUrqlClient(url: string, socket: SocketClient, freshToken: FreshToken): Client {
  return new Client({
    url,
    fetch: createAuthorizedFetch(freshToken),
    preferGetMethod: false,
    exchanges: [
      fetchExchange,
      subscriptionExchange({
        forwardSubscription: ({ query = '', variables = {} }) => ({
          subscribe: (sink) => ({
            unsubscribe: socket.subscribe(
              { query, variables },
              { ...sink, next: (result) => sink.next(result as ExecutionResult) },
            ),
          }),
        }),
      }),
    ],
  });
}
