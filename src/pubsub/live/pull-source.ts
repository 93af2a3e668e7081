import type { Listener, Source } from '../../domain/source.js';

/** The interval at which a source that is held back is checked, because nothing notifies it when that ends. */
const pollMs = 100;

/**
 * A source that looks for the next event when the subscriber asks: a subscriber that does not ask costs nothing, however
 * much changes meanwhile. `wake()` says that there may be an event; an error that `take` throws ends the source.
 */
export abstract class PullSource<T> implements Source<T>, Listener {
  #changes = 0;
  #isEnded = false;
  #resume: (() => void) | undefined;
  #listener: Listener | undefined;

  /** Returns the next event if there is one now. */
  protected abstract take(): T | undefined | Promise<T | undefined>;

  /** Called once, whichever way the source ends. */
  protected abstract onEnd(): void;

  protected get isEnded(): boolean {
    return this.#isEnded;
  }

  /** While true, nothing is taken: events that can wait are sent later, in their newest state. */
  protected get isHeldBack(): boolean {
    return false;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Notifies the source that there may be an event. */
  wake(): void {
    this.#changes += 1;
    this.#resume?.();
    this.#listener?.wake();
  }

  async next(): Promise<IteratorResult<T, undefined>> {
    try {
      while (!this.#isEnded) {
        // Read before `take`, so that a change during it is not missed.
        const changes = this.#changes;
        const { isHeldBack } = this;
        const event = isHeldBack ? undefined : (this.#takeAtHand() ?? (await this.take()));
        if (this.#isEnded) break;
        if (event !== undefined) return { done: false, value: event };
        if (isHeldBack) await this.#pause();
        else if (this.#changes === changes) await this.#change();
      }
    } catch (error) {
      if (!this.#isEnded) {
        this.#end();
        throw error;
      }
    }
    return { done: true, value: undefined };
  }

  async return(): Promise<IteratorResult<T, undefined>> {
    this.#end();
    return { done: true, value: undefined };
  }

  peek(): T | undefined {
    return undefined;
  }

  skip(_shown: T): void {}

  get isIdle(): boolean {
    return false;
  }

  listen(listener: Listener): void {
    this.#listener = listener;
  }

  #takeAtHand(): T | undefined {
    const event = this.peek();
    if (event !== undefined) this.skip(event);
    return event;
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#resume = resolve;
    });
  }

  /** Waits for `pollMs`, or until the source ends. */
  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, pollMs);
      this.#resume = () => {
        if (!this.#isEnded) return;
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#resume?.();
    this.#listener = undefined;
    this.onEnd();
  }
}
