import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

/** Requests that may wait for the answers before them. A client that is cut off sends those again that were not answered. */
const maxWaiting = 32;

export type Serve = (request: IncomingMessage, response: ServerResponse) => void;

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/**
 * Serves what comes over one connection one after the other, as it is answered: node would have all of it served at once,
 * and keep the answers until their turn, also those that nobody reads. A connection that asks for too much ahead is cut.
 */
export class Pipelines {
  readonly #serve: Serve;
  /** Of each connection with the one that is served first. */
  readonly #exchanges = new Map<Duplex, Exchange[]>();

  constructor(serve: Serve) {
    this.#serve = serve;
  }

  /** Takes requests of this connection from now on, until it closes. */
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

  /** The newest request of a connection that is not answered yet. */
  lastOn(socket: Duplex): ServerResponse | undefined {
    return this.#exchanges.get(socket)?.at(-1)?.response;
  }

  /** What is being served, until its last byte is written. */
  *underWay(): Generator<ServerResponse> {
    for (const [first] of this.#exchanges.values()) if (first !== undefined) yield first.response;
  }

  #begin(exchanges: Exchange[]): void {
    const [first] = exchanges;
    if (first === undefined || first.request.socket.destroyed) return;
    // A response that waits for its turn is not closed with its connection: only the first one is listened to.
    first.response.once('close', () => {
      exchanges.shift();
      this.#begin(exchanges);
    });
    this.#serve(first.request, first.response);
  }
}
