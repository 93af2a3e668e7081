import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

/** The maximum number of requests that wait for earlier responses. A client that is cut off sends unanswered requests again. */
const maxWaiting = 32;

export type Serve = (request: IncomingMessage, response: ServerResponse) => void;

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/**
 * Serves the requests of one connection one after the other. Node would serve all of them at once and keep the responses
 * until their turn, even if the client reads none. A connection with too many waiting requests is closed.
 */
export class Pipelines {
  readonly #serve: Serve;
  /** The unanswered requests of each connection; the first one is being served. */
  readonly #exchanges = new Map<Duplex, Exchange[]>();

  constructor(serve: Serve) {
    this.#serve = serve;
  }

  /** Accepts requests of this connection from now on, until it closes. */
  open(socket: Duplex): void {
    if (this.#exchanges.has(socket) || socket.destroyed) return;
    this.#exchanges.set(socket, []);
    socket.once('close', () => this.#exchanges.delete(socket));
  }

  take(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    const exchanges = this.#exchanges.get(socket);
    if (exchanges === undefined || socket.destroyed) return;
    if (exchanges.length > maxWaiting) {
      socket.destroy();
      return;
    }
    if (exchanges.push({ request, response }) === 1) this.#begin(exchanges);
  }

  /** Returns the response to the newest unanswered request on a connection. */
  lastOn(socket: Duplex): ServerResponse | undefined {
    return this.#exchanges.get(socket)?.at(-1)?.response;
  }

  /** Yields the responses that are being served, until their last byte is written. */
  *underWay(): Generator<ServerResponse> {
    for (const [first] of this.#exchanges.values()) if (first !== undefined) yield first.response;
  }

  #begin(exchanges: Exchange[]): void {
    const [first] = exchanges;
    if (first === undefined || first.request.socket.destroyed) return;
    // Only the first response has a listener: one that waits for its turn does not close with its connection.
    first.response.once('close', () => {
      exchanges.shift();
      this.#begin(exchanges);
    });
    this.#serve(first.request, first.response);
  }
}
