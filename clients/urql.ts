import {
  Client,
  type Exchange,
  type ExecutionResult,
  fetchExchange,
  mapExchange,
  subscriptionExchange,
} from '@urql/core';
import { cacheExchange } from '@urql/exchange-graphcache';
import type { Client as SocketClient } from 'graphql-ws';
import { createAuthorizedFetch } from './authorized-fetch.js';
import { createNewest } from './newest.js';
import type { FreshToken } from './resume.js';
import { cacheOptions } from './urql-cache.js';

/**
 * urql: subscriptions over a socket of `createResumingSocket`, everything else over HTTP.
 * @param cache - give it to add options of your own: `cacheExchange({ ...cacheOptions, storage })`
 */
export function createUrqlClient(
  url: string,
  socket: SocketClient,
  freshToken: FreshToken,
  cache: Exchange = cacheExchange(cacheOptions),
): Client {
  const newest = createNewest();
  return new Client({
    url,
    fetch: createAuthorizedFetch(freshToken),
    preferGetMethod: false,
    exchanges: [
      cache,
      mapExchange({ onResult: (result) => ({ ...result, data: newest<unknown>(result.data) }) }),
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
