import type { KeyValueStore, StoreName } from './key-value.js';
import { migrate, storageVersion } from './migrations.js';

/** Opens the database of that name. Rejects where IndexedDB is missing or closed to the page: private mode, some iframes. */
export async function openIndexedDb(name: string): Promise<KeyValueStore> {
  let lose = () => {};
  const opening = indexedDB.open(name, storageVersion);
  opening.onupgradeneeded = ({ oldVersion }) => migrate(opening.result, oldVersion);
  const database = await answerOf(opening);
  // A newer version of the app, or signing out, in another tab: let go, or it waits for ever.
  database.onversionchange = () => {
    database.close();
    lose();
  };
  database.onclose = () => lose();
  const read = (store: StoreName) => database.transaction(store).objectStore(store);
  /** Resolves once it is on the disk. */
  const write = <Value>(store: StoreName, change: (rows: IDBObjectStore) => IDBRequest<Value>): Promise<Value> =>
    new Promise((resolve, reject) => {
      const transaction = database.transaction(store, 'readwrite');
      const request = change(transaction.objectStore(store));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = () => reject(transaction.error);
    });
  return {
    get: async (store, key) => answerOf(read(store).get(key)),
    entries: async (store) => {
      const rows = read(store);
      const [keys, values] = await Promise.all([answerOf(rows.getAllKeys()), answerOf(rows.getAll())]);
      return keys.map((key, index) => [key, values[index]]);
    },
    put: async (store, key, value) => {
      await write(store, (rows) => rows.put(value, key));
    },
    append: async (value) => Number(await write('outbox', (rows) => rows.add(value))),
    delete: (store, key) => write(store, (rows) => rows.delete(key)),
    erase: async () => {
      database.close();
      await answerOf(indexedDB.deleteDatabase(name));
    },
    close: () => database.close(),
    onLost: (listener) => {
      lose = listener;
    },
  };
}

const answerOf = <Value>(request: IDBRequest<Value>): Promise<Value> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
