import type { Client } from 'graphql-ws';
import {
  Environment,
  type GraphQLResponse,
  type GraphQLSingularResponse,
  Network,
  Observable,
  RecordSource,
  type RequestParameters,
  Store,
} from 'relay-runtime';
import { createAuthorizedFetch } from '../authorized-fetch.js';
import type { FreshToken } from '../resume.js';
import { growingPauseMs } from '../retry.js';

/** Each event leaves records in the store, and Relay removes unused ones only when a view closes. So do it after this many too. */
const eventsPerCollection = 100;

/** Relay: subscriptions over a socket of `createResumingSocket`, everything else over HTTP. A refusal is an error. */
export function createRelayEnvironment(url: string, socket: Client, freshToken: FreshToken): Environment {
  const authorizedFetch = createAuthorizedFetch(freshToken);
  const store = new Store(new RecordSource());
  let events = 0;
  const network = Network.create(
    async (request, variables) => {
      const headers = { 'content-type': 'application/json' };
      const body = JSON.stringify({ ...documentOf(request), variables });
      const response = await authorizedFetch(url, { method: 'POST', headers, body });
      const answer = (await response.json()) as GraphQLSingularResponse;
      if ('errors' in answer) throw toError(answer.errors);
      return answer;
    },
    (request, variables) =>
      Observable.create<GraphQLResponse>((sink) =>
        socket.subscribe(
          { ...documentOf(request), variables },
          {
            next: (result) => {
              if (result.errors !== undefined) return sink.error(toError(result.errors));
              sink.next(result as GraphQLResponse);
              events += 1;
              if (events % eventsPerCollection === 0) store.scheduleGC();
            },
            error: (error) => sink.error(toError(error)),
            complete: () => sink.complete(),
          },
        ),
      ),
  );
  return new Environment({ network, store });
}

/** With `persistConfig`, the compiler makes an id of each document, and keeps its text if `include_query_text` is set. */
const documentOf = ({ id, text }: RequestParameters) => ({ query: text ?? '', documentId: id ?? undefined });

/** A refusal of the server, with its code. */
class Refusal extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly retryAfterMs?: number,
  ) {
    super(message);
  }
}

/** The code of a refusal, or NETWORK if there was no answer. */
export const codeOf = (error: unknown): string => (error instanceof Refusal ? error.code : 'NETWORK');

/** How long the server asks to wait before the next attempt. */
export const retryAfterMsOf = (error: unknown): number | undefined =>
  error instanceof Refusal ? error.retryAfterMs : undefined;

/** Asking again may succeed. */
const temporary: ReadonlySet<string> = new Set(['NETWORK', 'UNAVAILABLE', 'RATE_LIMITED', 'INTERNAL']);

/**
 * How long to wait before a subscription or query begins again, or undefined if that would change nothing.
 * @param failures - how many there were in a row before this one
 */
export const pauseMsOf = (error: unknown, failures: number): number | undefined =>
  temporary.has(codeOf(error)) ? (retryAfterMsOf(error) ?? growingPauseMs(failures)) : undefined;

/** @param cause - the errors of an answer, or why there is none */
function toError(cause: unknown): Error {
  if (!Array.isArray(cause)) return new Error('The subscription has failed', { cause });
  const [{ message, extensions }] = cause as [
    { readonly message: string; readonly extensions?: { readonly code?: string; readonly retryAfterMs?: number } },
  ];
  return new Refusal(String(extensions?.code), message, extensions?.retryAfterMs);
}
