import type { ExecutionResult } from 'graphql';
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

/** What a result is on the wire: all but its start is the same for all subscribers who share the execution. */
interface Payload {
  readonly bytes: Buffer;
  /** The frame that was made last, and for what start: clients of one kind count their operations alike. */
  start: string | undefined;
  frame: Buffer | undefined;
}

const payloads = new WeakMap<ExecutionResult, Payload>();

function payloadOf(result: ExecutionResult, maskError: MaskError): Payload {
  let payload = payloads.get(result);
  if (payload === undefined) {
    const { errors, ...rest } = result;
    const masked = errors === undefined ? {} : { errors: errors.map((error) => toFormatted(maskError(error))) };
    const bytes = Buffer.from(`${JSON.stringify({ ...rest, ...masked })}}`);
    payload = { bytes, start: undefined, frame: undefined };
    payloads.set(result, payload);
  }
  return payload;
}

const done = { done: true, value: undefined } as const;

/**
 * Sends what a subscription yields as `next` messages of graphql-transport-ws, which differ between subscribers in their
 * operation's id alone. Yields nothing itself and ends when the results do, so that graphql-ws keeps the operation's whole
 * life: its completion by either side, and its end with the socket.
 */
export class ResultSender implements AsyncIterableIterator<never, undefined> {
  readonly #results: Results;
  readonly #options: SendingOptions;
  readonly #start: string;
  #isEnded = false;
  #forget: (() => void) | null = null;
  #resolve: (end: typeof done) => void = () => undefined;
  #reject: (error: unknown) => void = () => undefined;

  constructor(results: Results, options: SendingOptions) {
    this.#results = results;
    this.#options = options;
    this.#start = `{"id":${JSON.stringify(options.id)},"type":"next","payload":`;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<never, undefined>> {
    if (this.#isEnded) return Promise.resolve(done);
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      this.#send();
    });
  }

  async return(): Promise<IteratorResult<never, undefined>> {
    this.#isEnded = true;
    this.#forget?.();
    await this.#results.return?.();
    this.#resolve(done);
    return done;
  }

  /** All that is at hand, as fast as the peer takes it. */
  readonly #send = (): void => {
    this.#forget = null;
    try {
      while (!this.#isEnded) {
        const result = this.#results.poll();
        const caughtUp = result === undefined ? undefined : this.#push(result);
        caughtUp?.then(this.#send, this.#fail);
        if (result === undefined) this.#wait();
        if (result === undefined || caughtUp !== undefined) return;
      }
    } catch (error) {
      this.#fail(error);
    }
  };

  #wait(): void {
    this.#forget = this.#results.onMore(this.#send);
    if (this.#forget === null) this.#results.next().then(this.#take, this.#fail);
  }

  readonly #take = async (taken: IteratorResult<ExecutionResult, undefined>): Promise<void> => {
    if (taken.done === true) {
      this.#isEnded = true;
      return this.#resolve(done);
    }
    try {
      if (!this.#isEnded) await this.#push(taken.value);
    } catch (error) {
      return this.#fail(error);
    }
    this.#send();
  };

  /** Undefined while the peer keeps up. @throws {ChatError} UNAVAILABLE where the socket is closing */
  readonly #push = (result: ExecutionResult): Promise<void> | undefined => {
    if (this.#isEnded) return undefined;
    const { socket, maskError } = this.#options;
    const payload = payloadOf(result, maskError);
    if (payload.frame === undefined || payload.start !== this.#start) {
      payload.start = this.#start;
      payload.frame = createTextFrame(this.#start, payload.bytes);
    }
    return socket.push(payload.frame);
  };

  /** Nobody returns an iterator that has thrown. */
  readonly #fail = (error: unknown): void => {
    this.#isEnded = true;
    this.#forget?.();
    Promise.resolve(this.#results.return?.()).then(
      () => this.#reject(error),
      () => this.#reject(error),
    );
  };
}
