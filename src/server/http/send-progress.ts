import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { every, type Loop } from '../../domain/every.js';
import { peerOf, readUnacknowledged } from './unacknowledged.js';

/** All connections are looked at so often within the time that one may stand still. */
const looks = 4;
const minLookMs = 50;
/** The time for a whole answer, in times without progress: a peer that takes a byte now and then holds it no longer. */
const maxAnswerTimeouts = 20;

export interface SendProgressOptions {
  readonly sendTimeoutMs: number;
  /** Whether an answer is one without an end. */
  readonly isStream: (response: ServerResponse) => boolean;
}

interface Sending {
  readonly cut: () => void;
  /** The newest answer over HTTP, and when it began. */
  response: ServerResponse | undefined;
  since: number;
  /** Without such an answer: what the connection was given by then. */
  given: number;
  /** How much this system had taken of what the connection was given, in bytes. */
  taken: number;
  /** How much of that the peer's system had yet to acknowledge. */
  unacknowledged: number;
  /** When one of the two changed last, or nothing waited to be taken. */
  progressAt: number;
}

/**
 * Ends connections whose peer does not take what it is sent: nothing for `sendTimeoutMs`, or not the whole of an answer, or
 * of what waits on a socket or stream, for twenty times that. One timer for all of them. Progress is what this system takes
 * and, where it shows them, the acknowledgements of the peer's: it takes more only once a good part of its buffer is free,
 * which is late for a phone on a bad network.
 */
export class SendProgress {
  readonly #options: SendProgressOptions;
  readonly #sendings = new Map<Socket, Sending>();
  #looking: Loop | undefined;

  constructor(options: SendProgressOptions) {
    this.#options = options;
  }

  /** From here on until it closes. */
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

  /** The next answer of a connection begins. */
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

  /** Whether something waits in this process, and notes what was taken since the last look. */
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
      // More of it is progress as well: there was room for it.
      if (unacknowledged !== sending.unacknowledged) sending.progressAt = performance.now();
      sending.unacknowledged = unacknowledged;
    }
  }
}
