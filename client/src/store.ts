/** A value that changes: React's `useSyncExternalStore` takes it as it is. */
export interface Store<Value> {
  /** Calls the listener after each change; returns how to stop. */
  subscribe(listener: () => void): () => void;
  /** The value as it is now: the same reference until it changes. */
  getSnapshot(): Value;
}

/** A store that its owner sets. */
export interface MutableStore<Value> extends Store<Value> {
  set(value: Value): void;
}

/** Calls somebody else's function. What it throws is reported, and is nobody else's affair. */
export function call(run: () => void): void {
  try {
    run();
  } catch (error) {
    const { reportError } = globalThis as { reportError?: (error: unknown) => void };
    if (reportError === undefined) console.error(error);
    else reportError(error);
  }
}

/** @param onWatched - called when the first listener has come, and when the last one has gone */
export function createStore<Value>(initial: Value, onWatched?: (isWatched: boolean) => void): MutableStore<Value> {
  let current = initial;
  // An object for each subscription: the same function may subscribe twice.
  const listeners = new Set<{ readonly listener: () => void }>();
  return {
    subscribe: (listener) => {
      const entry = { listener };
      listeners.add(entry);
      if (listeners.size === 1) onWatched?.(true);
      return () => {
        if (listeners.delete(entry) && listeners.size === 0) onWatched?.(false);
      };
    },
    getSnapshot: () => current,
    set: (value) => {
      if (Object.is(value, current)) return;
      current = value;
      for (const { listener } of [...listeners]) call(listener);
    },
  };
}
