import { deleteDB, openDB } from 'idb';
import type { KeyValueStore } from './key-value.js';
import { migrate, storageVersion } from './migrations.js';

/** Opens the database of that name. Rejects where IndexedDB is missing or closed to the page: private mode, some iframes. */
export async function openIndexedDb(name: string): Promise<KeyValueStore> {
  let lose = () => {};
  const database = await openDB(name, storageVersion, {
    upgrade: (opened, from) => migrate(opened as Parameters<typeof migrate>[0], from),
    // A newer version of the app, or signing out, in another tab: let go, or it waits for ever.
    blocking: () => {
      database.close();
      lose();
    },
    terminated: () => lose(),
  });
  return {
    get: (store, key) => database.get(store, key),
    entries: async (store) => {
      const rows = database.transaction(store).objectStore(store);
      const [keys, values] = await Promise.all([rows.getAllKeys(), rows.getAll()]);
      return keys.map((key, index) => [key, values[index]]);
    },
    put: async (store, key, value) => {
      await database.put(store, value, key);
    },
    append: async (value) => Number(await database.add('outbox', value)),
    delete: (store, key) => database.delete(store, key),
    erase: async () => {
      database.close();
      await deleteDB(name);
    },
    close: () => database.close(),
    onLost: (listener) => {
      lose = listener;
    },
  };
}
