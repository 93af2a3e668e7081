import type { IncomingMessage, ServerResponse } from 'node:http';
import createFinder, { type HTTPMethod, type HTTPVersion } from 'find-my-way';
import { refuse } from './answers.js';

/** Responds to a request. If it throws or rejects, the server responds with the masked error. */
export type Handler = (
  request: IncomingMessage,
  response: ServerResponse,
  params: Readonly<Record<string, string | undefined>>,
) => Promise<void> | void;

/** An entry in the routing table. */
export interface Route {
  readonly methods: readonly HTTPMethod[];
  /** May have parameters, `/rooms/:id`, and one `*` at the end. A slash at the end of a request's path is ignored. */
  readonly path: string;
  /** Only for a browser that opens the URL; other requests use the route of the same path without this. */
  readonly accept?: 'text/html';
  readonly handler: Handler;
}

/** The methods of read-only routes: node omits the body of a response to HEAD. */
export const getAndHead = ['GET', 'HEAD'] as const;

/**
 * Serves each request by its route. A path that has routes, but none for the method, is refused with 405 and `Allow`.
 * @throws {Error} if two routes match the same requests
 */
export function createRouter(
  routes: readonly Route[],
): (request: IncomingMessage, response: ServerResponse) => Promise<void> | void {
  const finder = createFinder<HTTPVersion.V1>({
    ignoreTrailingSlash: true,
    // Routes that have parameters in the query parse it themselves.
    querystringParser: () => ({}),
    constraints: { accept: { name: 'accept', storage: createStorage, deriveConstraint: findAccept } },
    defaultRoute: (request, response) => {
      const allowed = methods.filter((method) => finder.find(method, request.url ?? '/') !== null);
      if (allowed.length === 0) return refuse(response, { code: 'NOT_FOUND', message: 'There is nothing here' });
      const allow = allowed.join(', ');
      refuse(response, { code: 'BAD_USER_INPUT', message: `Use ${allow} here`, status: 405, headers: { allow } });
    },
  });
  const methods = [...new Set(routes.flatMap((route) => route.methods))];
  for (const { methods, path, accept, handler } of routes) {
    finder.on([...methods], path, accept === undefined ? {} : { constraints: { accept } }, handler);
  }
  return (request, response) => finder.lookup(request, response);
}

const findAccept = ({ headers }: IncomingMessage): string => (headers.accept?.includes('text/html') ? 'text/html' : '');

function createStorage<Handler>() {
  const handlers = new Map<string, Handler>();
  return {
    get: (value: string) => handlers.get(value) ?? null,
    set: (value: string, handler: Handler) => void handlers.set(value, handler),
  };
}
