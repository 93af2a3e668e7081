import type { ExecutionResult } from 'graphql';
import type { Listener } from '../../domain/source.js';
import type { Results } from './subscribe.js';

/**
 * Writes one result. Returns undefined while the peer keeps up, otherwise a promise that resolves once it has caught up.
 * Throws if the peer is gone.
 */
export type PushResult = (result: ExecutionResult) => Promise<void> | undefined;

const done = { done: true, value: undefined } as const;

/**
 * Sends the results of a subscription over any transport: all that are ready, as fast as the peer takes them. Yields nothing
 * itself and ends with the results, so that graphql-ws still controls the life of the operation: its completion by either
 * side, and its end with the socket.
 */
export class ResultSender implements AsyncIterableIterator<never, undefined>, Listener {
  readonly #results: Results;
  readonly #push: PushResult;
  #isWaiting = false;
  #isEnded = false;
  #resolve: (end: typeof done | Promise<never>) => void = () => undefined;

  constructor(results: Results, push: PushResult) {
    this.#results = results;
    this.#push = push;
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

  /** Sends all results that are ready, as fast as the peer takes them. */
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

  /** Ends the results, too: an iterator that has thrown is not returned by its consumer. */
  #fail(error: unknown): void {
    this.#isEnded = true;
    const failed = Promise.reject(error);
    // If the end was reported already, nothing handles the rejection.
    failed.catch(() => undefined);
    const reject = () => this.#resolve(failed);
    Promise.resolve(this.#results.return?.()).then(reject, reject);
  }
}
