import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { every, type Loop } from '../../domain/every.js';
import { refuseSocket } from './answers.js';

export interface ArrivalLimits {
  /** For a whole request. */
  readonly requestMs: number;
  /** For a request that brings a file: without a byte, and for the whole. */
  readonly idleFileMs: number;
  readonly fileMs: number;
}

interface Arrival {
  readonly request: IncomingMessage;
  readonly since: number;
  readonly response: ServerResponse;
  readonly bringsFile: boolean;
  bytes: number;
  progressAt: number;
}

const lookMs = 1_000;

/**
 * Closes connections whose request does not arrive in time: node has one limit for all, and a file over a slow line takes longer
 * than any other request may.
 */
export class Arrivals {
  readonly #limits: ArrivalLimits;
  /** The newest request of each connection: the next one begins when it is complete. */
  readonly #arriving = new Map<Socket, Arrival>();
  #looking: Loop | undefined;

  constructor(limits: ArrivalLimits) {
    this.#limits = limits;
  }

  watch(request: IncomingMessage, response: ServerResponse): void {
    const now = performance.now();
    const bringsFile = request.method === 'PUT' && request.url?.startsWith('/files/incoming/') === true;
    const { bytesRead: bytes } = request.socket;
    this.#arriving.set(request.socket, { request, since: now, response, bringsFile, bytes, progressAt: now });
    this.#looking ??= every(lookMs, () => this.#look());
  }

  #look(): void {
    const now = performance.now();
    for (const [socket, arrival] of this.#arriving) {
      if (arrival.request.complete || arrival.request.destroyed) this.#arriving.delete(socket);
      else if (this.#isLate(socket, arrival, now)) {
        this.#arriving.delete(socket);
        refuseSocket(socket, '408 Request Timeout');
      }
    }
    if (this.#arriving.size > 0) return;
    void this.#looking?.stop();
    this.#looking = undefined;
  }

  #isLate(socket: Socket, arrival: Arrival, now: number): boolean {
    const { requestMs, idleFileMs, fileMs } = this.#limits;
    // A file that is refused already gets no more time than anything else.
    if (!arrival.bringsFile || arrival.response.headersSent) return now - arrival.since > requestMs;
    if (socket.bytesRead !== arrival.bytes) Object.assign(arrival, { bytes: socket.bytesRead, progressAt: now });
    return now - arrival.progressAt > idleFileMs || now - arrival.since > fileMs;
  }
}
