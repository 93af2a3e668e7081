import type { ExecutionResult } from 'graphql';
import type { Listener } from '../../domain/source.js';
import type { Results } from './subscribe.js';

/** Writes one result. Undefined while the peer keeps up; else resolves once it has caught up. Throws where it is gone. */
export type PushResult = (result: ExecutionResult) => Promise<void> | undefined;

const done = { done: true, value: undefined } as const;

/**
 * Sends what a subscription yields, over whichever transport: all that is at hand, as fast as the peer takes it. Yields
 * nothing itself and ends when the results do, so that graphql-ws keeps the operation's whole life: its completion by
 * either side, and its end with the socket.
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
