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

  take(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    if (socket.destroyed) return;
    const exchanges = this.#exchanges.get(socket) ?? [];
    if (exchanges.length > maxWaiting) {
      socket.destroy();
      return;
    }
    exchanges.push({ request, response });
    if (exchanges.length > 1) return;
    this.#exchanges.set(socket, exchanges);
    this.#begin(socket, exchanges);
  }

  /** The newest request of a connection that is not answered yet. */
  lastOn(socket: Duplex): ServerResponse | undefined {
    return this.#exchanges.get(socket)?.at(-1)?.response;
  }

  /** What is being served, until its last byte is written. */
  *underWay(): Generator<ServerResponse> {
    for (const [first] of this.#exchanges.values()) if (first !== undefined) yield first.response;
  }

  #begin(socket: Duplex, exchanges: Exchange[]): void {
    const [first] = exchanges;
    if (first === undefined || socket.destroyed) {
      this.#exchanges.delete(socket);
      return;
    }
    // A response that waits for its turn is not closed with its connection: only the first one is listened to.
    first.response.once('close', () => {
      exchanges.shift();
      this.#begin(socket, exchanges);
    });
    this.#serve(first.request, first.response);
  }
}
