import { type KeyValueStore, type StoreName, storeNames } from './key-value.js';

/** Storage that ends with the page. Values are copied, as in IndexedDB. */
export function createMemoryStore(): KeyValueStore {
  const stores = new Map(storeNames.map((name) => [name, new Map<IDBValidKey, unknown>()]));
  const of = (name: StoreName) => stores.get(name) as Map<IDBValidKey, unknown>;
  let newest = 0;
  return {
    get: async (store, key) => structured(of(store).get(key)),
    entries: async (store) =>
      [...of(store)]
        .sort(([a], [b]) => (a < b ? -1 : Number(a > b)))
        .map(([key, value]): [IDBValidKey, unknown] => [key, structured(value)]),
    put: async (store, key, value) => {
      if (store === 'outbox') newest = Math.max(newest, Number(key));
      of(store).set(key, structured(value));
    },
    append: async (value) => {
      // Whole, as in IndexedDB: a tab that numbers without its database takes fractions.
      newest = Math.floor(newest) + 1;
      of('outbox').set(newest, structured(value));
      return newest;
    },
    delete: async (store, key) => {
      of(store).delete(key);
    },
    erase: async () => {
      for (const store of stores.values()) store.clear();
    },
    close: () => undefined,
    onLost: () => undefined,
  };
}

const structured = <Value>(value: Value): Value => (value === undefined ? value : JSON.parse(JSON.stringify(value)));
