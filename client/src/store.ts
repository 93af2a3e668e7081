/** A value that changes: React's `useSyncExternalStore` takes it as it is. */
export interface Store<Value> {
  /** Calls the listener after each change, perhaps also without one; returns how to stop. */
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

/**
 * A store whose value is built when somebody asks for it: however much has happened between two looks, it costs one build. Its
 * listeners may also be called when the value has stayed the same.
 */
export interface LazyStore<Value> extends Store<Value> {
  /** What the value is built from has changed. */
  touch(): void;
}

/** @param onWatched - called when the first listener has come, and when the last one has gone */
export function createStore<Value>(initial: Value, onWatched?: (isWatched: boolean) => void): MutableStore<Value> {
  let current = initial;
  const { subscribe, tell } = createListeners(onWatched);
  return {
    subscribe,
    getSnapshot: () => current,
    set: (value) => {
      if (Object.is(value, current)) return;
      current = value;
      tell();
    },
  };
}

/** @param build - returns the value as it was if nothing of it has changed */
export function createLazyStore<Value>(
  initial: Value,
  build: (before: Value) => Value,
  onWatched: (isWatched: boolean) => void,
): LazyStore<Value> {
  let current = initial;
  let isOld = false;
  const { subscribe, tell } = createListeners(onWatched);
  return {
    subscribe,
    getSnapshot: () => {
      if (isOld) {
        isOld = false;
        current = build(current);
      }
      return current;
    },
    touch: () => {
      isOld = true;
      tell();
    },
  };
}

function createListeners(onWatched?: (isWatched: boolean) => void) {
  // An object for each subscription: the same function may subscribe twice.
  const listeners = new Set<{ readonly listener: () => void }>();
  return {
    subscribe: (listener: () => void) => {
      const entry = { listener };
      listeners.add(entry);
      if (listeners.size === 1) onWatched?.(true);
      return () => {
        if (listeners.delete(entry) && listeners.size === 0) onWatched?.(false);
      };
    },
    tell: () => {
      for (const { listener } of [...listeners]) call(listener);
    },
  };
}
