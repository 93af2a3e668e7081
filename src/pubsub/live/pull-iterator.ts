/** How often something is looked at that says nothing when it changes. */
const pollMs = 100;

export interface PullOptions<T> {
  /** What there is to tell now; undefined where there is nothing. What it throws ends the iterator. */
  readonly take: () => T | undefined | Promise<T | undefined>;
  /** While true, nothing is told: it is what can wait, and its newest state is told later. */
  readonly isHeldBack?: () => boolean;
  readonly onEnd: () => void;
}

/**
 * Tells a subscriber the newest state of something when the subscriber asks: who does not ask costs nothing, however much
 * changes meanwhile. `return()` frees everything at once, also while `next()` waits.
 */
export class PullIterator<T> implements AsyncIterableIterator<T, undefined> {
  readonly #options: PullOptions<T>;
  #changes = 0;
  #isEnded = false;
  #wake: (() => void) | undefined;

  constructor(options: PullOptions<T>) {
    this.#options = options;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** There may be something to tell. */
  wake(): void {
    this.#changes += 1;
    this.#wake?.();
  }

  async next(): Promise<IteratorResult<T, undefined>> {
    try {
      while (!this.#isEnded) {
        // Taken before the look, so that a change during the look is not slept through.
        const changes = this.#changes;
        const isHeldBack = this.#options.isHeldBack?.() === true;
        const value = isHeldBack ? undefined : await this.#options.take();
        if (this.#isEnded) break;
        if (value !== undefined) return { done: false, value };
        await this.#changeAfter(changes, isHeldBack);
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

  #changeAfter(changes: number, isHeldBack: boolean): Promise<void> {
    if (this.#changes > changes && !isHeldBack) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = isHeldBack ? setTimeout(resolve, pollMs) : undefined;
      this.#wake = () => {
        // Held back, only the end wakes it before its time.
        if (isHeldBack && !this.#isEnded) return;
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#wake?.();
    this.#options.onEnd();
  }
}
