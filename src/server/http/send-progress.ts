import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { every, type Loop } from '../../domain/every.js';
import { peerOf, readUnacknowledged } from './unacknowledged.js';

/** How often all connections are checked within `sendTimeoutMs`. */
const looks = 4;
const minLookMs = 50;
/**
 * The time for a whole response, in multiples of `sendTimeoutMs`: a peer cannot hold it longer by taking a byte now and then.
 */
const maxAnswerTimeouts = 20;

export interface SendProgressOptions {
  readonly sendTimeoutMs: number;
  /** Whether a response is a stream without an end. */
  readonly isStream: (response: ServerResponse) => boolean;
}

interface Sending {
  readonly cut: () => void;
  /** The newest HTTP response of the connection; it began at `since`. */
  response: ServerResponse | undefined;
  since: number;
  /** Without such a response: the number of bytes written to the connection at `since`. */
  given: number;
  /** How many of the written bytes this operating system has taken. */
  taken: number;
  /** How many of those bytes the peer's system has not acknowledged yet. */
  unacknowledged: number;
  /** When one of the two last changed, or nothing was waiting. */
  progressAt: number;
}

/**
 * Closes connections whose peer does not take its data: nothing for `sendTimeoutMs`, or not the whole of a response, or of
 * the data that waits on a socket or stream, for twenty times that. One timer checks all connections. Progress means that
 * this system takes bytes or, if it shows that, that the peer's system acknowledges some: this system takes more only once a
 * good part of its buffer is free, which is late for a phone on a bad network.
 */
export class SendProgress {
  readonly #options: SendProgressOptions;
  readonly #sendings = new Map<Socket, Sending>();
  #looking: Loop | undefined;

  constructor(options: SendProgressOptions) {
    this.#options = options;
  }

  /** Watches the connection from now on, until it closes. */
  watch(socket: Socket, cut: () => void = () => socket.destroy()): void {
    if (socket.destroyed) return;
    if (!this.#sendings.has(socket)) socket.once('close', () => this.#forget(socket));
    const now = performance.now();
    const none = { taken: 0, unacknowledged: 0, given: 0 };
    this.#sendings.set(socket, { cut, response: undefined, since: now, progressAt: now, ...none });
    const lookMs = Math.max(this.#options.sendTimeoutMs / looks, minLookMs);
    this.#looking ??= every(lookMs, () => this.#look());
  }

  #forget(socket: Socket): void {
    this.#sendings.delete(socket);
    if (this.#sendings.size > 0) return;
    void this.#looking?.stop();
    this.#looking = undefined;
  }

  /** Notes that the next response of a connection begins. */
  begin(response: ServerResponse): void {
    const sending = response.socket === null ? undefined : this.#sendings.get(response.socket);
    if (sending !== undefined) Object.assign(sending, { response, since: performance.now() });
  }

  async #look(): Promise<void> {
    const now = performance.now();
    const behind = [...this.#sendings].filter(([socket, sending]) => this.#isBehind(socket, sending, now));
    const [still] = behind.find(([, { progressAt }]) => progressAt < now) ?? [];
    if (still !== undefined) await this.#readAcknowledged(still.localPort ?? 0, behind);
    const { sendTimeoutMs } = this.#options;
    for (const [, { cut, since, progressAt }] of behind) {
      if (now - progressAt > sendTimeoutMs || now - since > maxAnswerTimeouts * sendTimeoutMs) cut();
    }
  }

  /** Returns whether bytes wait in this process, and notes how many were taken since the last check. */
  #isBehind(socket: Socket, sending: Sending, now: number): boolean {
    const taken = socket.bytesWritten - socket.writableLength;
    const isDone = socket.writableLength === 0;
    if (isDone || taken !== sending.taken) Object.assign(sending, { taken, progressAt: now });
    const { response, given } = sending;
    const isAnswer = response !== undefined && !this.#options.isStream(response);
    if (!isAnswer && taken >= given) Object.assign(sending, { given: socket.bytesWritten, since: now });
    return !isDone;
  }

  async #readAcknowledged(localPort: number, behind: readonly (readonly [Socket, Sending])[]): Promise<void> {
    const waiting = await readUnacknowledged(localPort);
    if (waiting === undefined) return;
    for (const [socket, sending] of behind) {
      const unacknowledged = waiting.get(peerOf(socket)) ?? 0;
      // An increase is progress as well: there was room for more bytes.
      if (unacknowledged !== sending.unacknowledged) sending.progressAt = performance.now();
      sending.unacknowledged = unacknowledged;
    }
  }
}
