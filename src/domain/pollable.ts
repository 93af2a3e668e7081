/** Who waits for something and is woken. */
export interface Listener {
  wake(): void;
}

/**
 * An async iterator that can also be looked at without waiting. Who tells thousands of one event does not want to wake as
 * many promises for it.
 */
export interface Pollable<T> extends AsyncIterableIterator<T, undefined> {
  /** What comes next, where it is at hand. Undefined says nothing of whether there is more. */
  peek(): T | undefined;
  /** Goes on behind what `peek` has just shown. */
  skip(shown: T): void;
  /** There is nothing, and the listener is woken when there may be more. Else only `next()` can tell what comes. */
  readonly isIdle: boolean;
  /** Wakes this one from now on, until the end, whenever there may be more at hand. */
  listen(listener: Listener): void;
}

export const isPollable = (iterator: AsyncIterator<unknown>): iterator is Pollable<unknown> => 'peek' in iterator;
