import type { Client } from 'graphql-ws';
import { Environment, type GraphQLResponse, Network, Observable, RecordSource, Store } from 'relay-runtime';
import { createAuthorizedFetch } from './authorized-fetch.js';
import type { FreshToken } from './resume.js';

/** Relay: subscriptions over a socket of `createResumingSocket`, everything else over HTTP. */
export function createRelayEnvironment(url: string, socket: Client, freshToken: FreshToken): Environment {
  const authorizedFetch = createAuthorizedFetch(freshToken);
  const network = Network.create(
    async ({ text: query }, variables) => {
      const headers = { 'content-type': 'application/json' };
      const body = JSON.stringify({ query, variables });
      const response = await authorizedFetch(url, { method: 'POST', headers, body });
      return (await response.json()) as GraphQLResponse;
    },
    ({ text }, variables) =>
      Observable.create<GraphQLResponse>((sink) =>
        socket.subscribe(
          { query: text ?? '', variables },
          {
            next: (result) => sink.next(result as GraphQLResponse),
            error: (error) => sink.error(new Error('The subscription has failed', { cause: error })),
            complete: () => sink.complete(),
          },
        ),
      ),
  );
  return new Environment({ network, store: new Store(new RecordSource()) });
}
