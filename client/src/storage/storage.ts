import type { Environment } from '../environment/environment.js';
import type { KeyValueStore, StoreName } from './key-value.js';
import { createMemoryStore } from './memory.js';

/** What nobody else has; rooms are read again from the server. */
const mirrored: readonly StoreName[] = ['outbox', 'drafts'];

/** A database that does not open in this time is blocked by an old tab. */
const openWithinMs = 3_000;

/** Storage that always works: durable while the browser allows it, in memory from the first failure on. */
export interface Storage extends Omit<KeyValueStore, 'onLost'> {
  /** Whether what is stored survives a reload. */
  isDurable(): boolean;
}

/**
 * Opens the storage of that name. What is written also stays in memory, so that nothing is lost to this page if the browser
 * takes the database away, fills up, or blocks it.
 * @param onLost - called once if the storage is not durable any more, or never was
 */
export async function openStorage(environment: Environment, name: string, onLost: () => void): Promise<Storage> {
  const memory = createMemoryStore();
  let durable: KeyValueStore | undefined = await openInTime(environment, name);
  const lose = () => {
    if (durable === undefined) return;
    durable = undefined;
    onLost();
  };
  if (durable === undefined) onLost();
  else durable.onLost(lose);

  const attempt = async <Value>(use: (store: KeyValueStore) => Promise<Value>): Promise<Value | undefined> => {
    if (durable === undefined) return undefined;
    try {
      return await use(durable);
    } catch {
      lose();
      return undefined;
    }
  };
  const read = async <Value>(use: (store: KeyValueStore) => Promise<Value>): Promise<Value> => {
    const value = await attempt(use);
    return durable === undefined ? use(memory) : (value as Value);
  };
  const write = async (use: (store: KeyValueStore) => Promise<void>): Promise<void> => {
    await Promise.all([use(memory), attempt(use)]);
  };
  for (const store of mirrored) {
    const entries = await attempt((use) => use.entries(store));
    for (const [key, value] of entries ?? []) await memory.put(store, key, value);
  }
  return {
    isDurable: () => durable !== undefined,
    get: (store, key) => read((use) => use.get(store, key)),
    entries: (store) => read((use) => use.entries(store)),
    put: async (store, key, value) => {
      if (mirrored.includes(store)) return write((use) => use.put(store, key, value));
      await attempt((use) => use.put(store, key, value));
    },
    append: async (value) => {
      const key = await attempt((use) => use.append(value));
      if (key === undefined) return memory.append(value);
      await memory.put('outbox', key, value);
      return key;
    },
    delete: (store, key) => write((use) => use.delete(store, key)),
    erase: () => write((use) => use.erase()),
    close: () => durable?.close(),
  };
}

/** Undefined if there is no durable storage, or it does not open in time. */
function openInTime(environment: Environment, name: string): Promise<KeyValueStore | undefined> {
  return new Promise((resolve) => {
    let isLate = false;
    const cancel = environment.setTimer(() => {
      isLate = true;
      resolve(undefined);
    }, openWithinMs);
    environment.openStorage(name).then(
      (store) => {
        cancel();
        if (isLate) store.close();
        else resolve(store);
      },
      () => {
        cancel();
        resolve(undefined);
      },
    );
  });
}
