/**
 * An async iterator that can also be looked at without waiting. Who tells thousands of one event does not want to wake as
 * many promises for it.
 */
export interface Pollable<T> extends AsyncIterableIterator<T, undefined> {
  /** What comes next, where it is at hand. Undefined says nothing of whether there is more. */
  peek(): T | undefined;
  /** Goes on behind what `peek` has just shown. */
  skip(): void;
  /**
   * Calls back once, when there may be more at hand. Returns how to take that back, or null where only `next()` can tell
   * what comes.
   */
  onMore(callback: () => void): (() => void) | null;
}

export const isPollable = (iterator: AsyncIterator<unknown>): iterator is Pollable<unknown> => 'peek' in iterator;
