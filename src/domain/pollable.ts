/** Notified when a `Pollable` may have more. */
export interface Listener {
  wake(): void;
}

/**
 * An async iterator that can also be read synchronously. An event for thousands of subscribers would otherwise resolve
 * thousands of promises.
 */
export interface Pollable<T> extends AsyncIterableIterator<T, undefined> {
  /** The next value if it is available now. Undefined does not mean the end, nor that nothing will come. */
  peek(): T | undefined;
  /** Advances past the value that `peek` has just returned. */
  skip(shown: T): void;
  /**
   * True if there is no value now and the listener will be notified of the next one. If it is false and `peek` returns
   * undefined, call `next()`.
   */
  readonly isIdle: boolean;
  /** Notifies this listener from now on, until the end, whenever `peek` may return a value. */
  listen(listener: Listener): void;
}

export const isPollable = (iterator: AsyncIterator<unknown>): iterator is Pollable<unknown> => 'peek' in iterator;
