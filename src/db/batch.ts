import DataLoader from 'dataloader';

/** Loads all keys of one turn with a single call. */
export interface Batch<Key, Value> {
  load(key: Key): Promise<Value>;
  /** A key that failed has its error in its place. */
  loadMany(keys: readonly Key[]): Promise<(Value | Error)[]>;
}

/** Returns the value of one request from a query for many; undefined if the user may not see it at that moment. */
export type View<Asked, Value> = (asked: Asked) => Value | undefined;

/** The maximum number of keys in one statement: reading the result of more would hold up everything else for too long. */
const maxBatchSize = 1_000;

/**
 * Loads all keys together that are requested until `schedule` calls back, by default at the end of the turn. Keeps nothing:
 * no values for later requests, and, unlike a long-lived DataLoader, not the last batch with its callers.
 * @param load - returns a value or an error for each key, in their order
 */
export function createBatch<Key, Value>(
  load: DataLoader.BatchLoadFn<Key, Value>,
  schedule?: (callback: () => void) => void,
): Batch<Key, Value> {
  let waiting: DataLoader<Key, Value> | undefined;
  const createLoader = () => {
    const loader = new DataLoader<Key, Value>(
      (keys) => {
        if (waiting === loader) waiting = undefined;
        return load(keys);
      },
      { cache: false, maxBatchSize, ...(schedule === undefined ? {} : { batchScheduleFn: schedule }) },
    );
    return loader;
  };
  const open = () => {
    waiting ??= createLoader();
    return waiting;
  };
  return { load: (key) => open().load(key), loadMany: (keys) => open().loadMany(keys) };
}

/**
 * Splits keys that stand for several values each, so that each part has at most as many values as a statement may have keys.
 * A single key may have more.
 */
export function splitBatch<Key>(keys: readonly Key[], sizeOf: (key: Key) => number): Key[][] {
  const parts: Key[][] = [];
  let left = 0;
  for (const key of keys) {
    const size = sizeOf(key);
    const part = parts.at(-1);
    if (part === undefined || size > left) {
      parts.push([key]);
      left = maxBatchSize - size;
    } else {
      part.push(key);
      left -= size;
    }
  }
  return parts;
}
