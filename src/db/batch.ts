import DataLoader from 'dataloader';

/** Asks once for all that is wanted in the same turn. */
export interface Batch<Key, Value> {
  load(key: Key): Promise<Value>;
  /** Where one of them fails, its place has the error. */
  loadMany(keys: readonly Key[]): Promise<(Value | Error)[]>;
}

/**
 * What a query for many answers for each of them; undefined where the asker has no business with it at that very moment.
 */
export type View<Asked, Value> = (asked: Asked) => Value | undefined;

/** Keys that PostgreSQL is asked for in one statement. */
const maxBatchSize = 5_000;

/**
 * Loads together what is wanted until `schedule` calls back, which is the end of the turn. Nothing is kept: neither
 * values for who asks later, nor, as a loader that lives on would, the last batch with all who waited for it.
 * @param load - answers a value or an error for each key, in their order
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
