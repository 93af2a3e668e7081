/** Notified when a `Source` may have more. */
export interface Listener {
  wake(): void;
}

/**
 * The events of one subscription: an async iterator that can also be read synchronously. An event for thousands of
 * subscribers would otherwise resolve thousands of promises. `return()` frees everything at once, also while `next()`
 * waits; an error of the subscription is thrown by `next()` and ends it.
 */
export interface Source<T> extends AsyncIterableIterator<T, undefined> {
  return(): Promise<IteratorResult<T, undefined>>;
  /** The next event if it is available now. Undefined does not mean the end, nor that nothing will come. */
  peek(): T | undefined;
  /** Advances past the event that `peek` has just returned. */
  skip(shown: T): void;
  /**
   * True if there is no event now and the listener will be notified of the next one. If it is false and `peek` returns
   * undefined, call `next()`.
   */
  readonly isIdle: boolean;
  /** Notifies this listener from now on, until the end, whenever `peek` may return an event. */
  listen(listener: Listener): void;
}

/** The events of the source that `isWanted` accepts; the others are skipped. */
export const filterSource = <T, U extends T>(source: Source<T>, isWanted: (event: T) => event is U): Source<U> =>
  new FilteredSource(source, isWanted);

/** Not a generator: a waiting generator does not return before the next event. */
class FilteredSource<T, U extends T> implements Source<U> {
  readonly #source: Source<T>;
  readonly #isWanted: (event: T) => event is U;

  constructor(source: Source<T>, isWanted: (event: T) => event is U) {
    this.#source = source;
    this.#isWanted = isWanted;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<U, undefined>> {
    for (;;) {
      const { done, value } = await this.#source.next();
      if (done === true) return { done, value };
      if (this.#isWanted(value)) return { done: false, value };
    }
  }

  async return(): Promise<IteratorResult<U, undefined>> {
    await this.#source.return();
    return { done: true, value: undefined };
  }

  peek(): U | undefined {
    for (;;) {
      const event = this.#source.peek();
      if (event === undefined) return undefined;
      if (this.#isWanted(event)) return event;
      this.#source.skip(event);
    }
  }

  skip(shown: U): void {
    this.#source.skip(shown);
  }

  get isIdle(): boolean {
    return this.#source.isIdle;
  }

  listen(listener: Listener): void {
    this.#source.listen(listener);
  }
}
