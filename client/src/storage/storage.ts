import type { Environment } from '../environment/environment.js';
import type { KeyValueStore, StoreName } from './key-value.js';
import { createMemoryStore } from './memory.js';

/** A database that has failed is tried again after this time. */
const returnMs = 5_000;
/** A database that does not answer in this time has failed. */
const answerWithinMs = 5_000;
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
 * @param onChange - called if the storage is not durable any more, or never was, and when it is again
 */
export async function openStorage(
  environment: Environment,
  name: string,
  onChange: (isDurable: boolean) => void,
): Promise<Storage> {
  const memory = createMemoryStore();
  let durable: KeyValueStore | undefined = await openInTime(environment, name);
  let isClosed = false;
  let cancelReturn = () => {};
  /** @param isTaken - whether somebody has taken the database away on purpose */
  const lose = (isTaken: boolean) => {
    if (durable === undefined) return;
    durable = undefined;
    onChange(false);
    if (!isTaken) comeBackLater();
  };
  const comeBackLater = () => {
    if (isClosed) return;
    cancelReturn = environment.setTimer(() => {
      comeBack().catch(() => comeBackLater());
    }, returnMs);
  };
  const use = (store: KeyValueStore) => {
    durable = store;
    store.onLost(() => lose(true));
  };
  /** The database may work again: then it gets what this page has, and loses what was done meanwhile. */
  const comeBack = async () => {
    const store = isClosed ? undefined : await openInTime(environment, name);
    if (isClosed) return;
    if (store === undefined) throw new Error('There is still no storage');
    try {
      for (const part of mirrored) {
        const kept = new Map(await memory.entries(part));
        for (const [key] of await store.entries(part)) if (!kept.has(key)) await store.delete(part, key);
        for (const [key, value] of kept) await store.put(part, key, value);
      }
    } catch (error) {
      store.close();
      throw error;
    }
    use(store);
    onChange(true);
  };
  if (durable === undefined) onChange(false);
  else use(durable);

  const attempt = async <Value>(run: (store: KeyValueStore) => Promise<Value>): Promise<Value | undefined> => {
    if (durable === undefined) return undefined;
    try {
      return await inTime(environment, run(durable));
    } catch {
      lose(false);
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
      // What can be read again from the server may find no space: that is no reason to give the database up.
      await inTime(environment, (durable ?? memory).put(store, key, value)).catch(() => undefined);
    },
    append: async (value) => {
      const key = await attempt((use) => use.append(value));
      if (key === undefined) return memory.append(value);
      await memory.put('outbox', key, value);
      return key;
    },
    delete: (store, key) => write((use) => use.delete(store, key)),
    erase: () => {
      isClosed = true;
      cancelReturn();
      return write((use) => use.erase());
    },
    close: () => {
      isClosed = true;
      cancelReturn();
      durable?.close();
    },
  };
}

/** Rejects if the storage does not answer in time. */
function inTime<Value>(environment: Environment, answer: Promise<Value>): Promise<Value> {
  return new Promise((resolve, reject) => {
    const cancel = environment.setTimer(() => reject(new Error('The storage does not answer')), answerWithinMs);
    answer.finally(cancel).then(resolve, reject);
  });
}

/** Undefined if there is no durable storage, or it does not open in time. */
function openInTime(environment: Environment, name: string): Promise<KeyValueStore | undefined> {
  return new Promise((resolve) => {
    let isLate = false;
    const cancel = environment.setTimer(() => {
      isLate = true;
      resolve(undefined);
    }, openWithinMs);
    const open = async () => environment.openStorage(name);
    open().then(
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
