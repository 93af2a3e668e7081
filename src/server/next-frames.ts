import type { ExecutionResult } from 'graphql';
import type { Listener } from '../domain/pollable.js';
import type { ClientSocket } from './client-socket.js';
import { type MaskError, toFormatted } from './errors.js';
import type { Results } from './subscribe.js';
import { createTextFrame } from './text-frame.js';

export interface SendingOptions {
  /** The operation's, as its client named it. */
  readonly id: string;
  readonly socket: ClientSocket;
  readonly maskError: MaskError;
}

/** A result on the wire, as the one to whom it was sent last got it: all but its start is the same for all. */
interface Sent {
  id: string;
  frame: Buffer;
  /** How many of the frame's last bytes are not for one subscriber alone. */
  readonly sharedBytes: number;
}

const sent = new WeakMap<ExecutionResult, Sent>();

/** Made anew for another id only: clients of one kind count their operations alike. */
function frameOf(result: ExecutionResult, id: string, maskError: MaskError): Buffer {
  const last = sent.get(result);
  if (last === undefined) {
    const payload = toPayload(result, maskError);
    const frame = createNextFrame(id, payload);
    sent.set(result, { id, frame, sharedBytes: Buffer.byteLength(payload) });
    return frame;
  }
  if (last.id !== id) {
    last.frame = createNextFrame(id, last.frame.subarray(-last.sharedBytes));
    last.id = id;
  }
  return last.frame;
}

const createNextFrame = (id: string, payload: string | Buffer): Buffer =>
  createTextFrame(`{"id":${JSON.stringify(id)},"type":"next","payload":`, payload);

/** With the end of the message that it is in. */
function toPayload({ errors, ...rest }: ExecutionResult, maskError: MaskError): string {
  const masked = errors === undefined ? {} : { errors: errors.map((error) => toFormatted(maskError(error))) };
  return `${JSON.stringify({ ...rest, ...masked })}}`;
}

const done = { done: true, value: undefined } as const;

/**
 * Sends what a subscription yields as `next` messages of graphql-transport-ws, which differ between subscribers in their
 * operation's id alone. Yields nothing itself and ends when the results do, so that graphql-ws keeps the operation's whole
 * life: its completion by either side, and its end with the socket.
 */
export class ResultSender implements AsyncIterableIterator<never, undefined>, Listener {
  readonly #results: Results;
  readonly #socket: ClientSocket;
  readonly #maskError: MaskError;
  readonly #id: string;
  #isWaiting = false;
  #isEnded = false;
  #resolve: (end: typeof done | Promise<never>) => void = () => undefined;

  constructor(results: Results, { id, socket, maskError }: SendingOptions) {
    this.#results = results;
    this.#socket = socket;
    this.#maskError = maskError;
    this.#id = id;
    results.listen(this);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<never, undefined>> {
    if (this.#isEnded) return Promise.resolve(done);
    return new Promise((resolve) => {
      this.#resolve = resolve;
      this.#send();
    });
  }

  async return(): Promise<IteratorResult<never, undefined>> {
    this.#isEnded = true;
    await this.#results.return?.();
    this.#resolve(done);
    return done;
  }

  wake(): void {
    if (!this.#isWaiting) return;
    this.#isWaiting = false;
    this.#send();
  }

  /** All that is at hand, as fast as the peer takes it. */
  #send(): void {
    try {
      let caughtUp: Promise<void> | undefined;
      while (!this.#isEnded && caughtUp === undefined) {
        const result = this.#results.poll();
        if (result === undefined) {
          this.#wait();
          return;
        }
        caughtUp = this.#push(result);
      }
      caughtUp?.then(
        () => this.#send(),
        (error) => this.#fail(error),
      );
    } catch (error) {
      this.#fail(error);
    }
  }

  #wait(): void {
    this.#isWaiting = this.#results.isIdle;
    if (!this.#isWaiting) void this.#take();
  }

  async #take(): Promise<void> {
    try {
      const taken = await this.#results.next();
      if (taken.done === true) {
        this.#isEnded = true;
        return this.#resolve(done);
      }
      if (!this.#isEnded) await this.#push(taken.value);
      this.#send();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Undefined while the peer keeps up. @throws {ChatError} UNAVAILABLE where the socket is closing */
  #push(result: ExecutionResult): Promise<void> | undefined {
    return this.#socket.push(frameOf(result, this.#id, this.#maskError));
  }

  /** Nobody returns an iterator that has thrown. */
  #fail(error: unknown): void {
    this.#isEnded = true;
    const failed = Promise.reject(error);
    // Where the end was told already, nobody asks.
    failed.catch(() => undefined);
    const reject = () => this.#resolve(failed);
    Promise.resolve(this.#results.return?.()).then(reject, reject);
  }
}
