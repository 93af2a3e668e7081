import type { Environment } from '../environment/environment.js';
import { inTime } from '../in-time.js';
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

/**
 * Storage that always works: durable while the browser allows it, in memory from the first failure on. Only `put` of `files`
 * rejects, if there is no space.
 */
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
  let newest = 0;
  let writes = 0;
  let appended: Promise<number> = Promise.resolve(0);
  /** What was written while the database was away. */
  const touched = new Map<string, readonly [StoreName, IDBValidKey]>();
  const touch = (part: StoreName, key: IDBValidKey) => {
    writes += 1;
    const id = `${part}:${key}`;
    touched.delete(id);
    touched.set(id, [part, key]);
    // The database may just have come back.
    if (durable !== undefined) bring(durable).catch(lose);
  };
  /** Does in the database what was done without it. More may be done while this goes on. */
  const bring = async (store: KeyValueStore): Promise<void> => {
    for (const [id, written] of touched) {
      const value = await memory.get(...written);
      await (value === undefined ? store.delete(...written) : store.put(...written, value));
      if (touched.get(id) === written) touched.delete(id);
    }
  };
  /** A number behind all known ones that no other tab and no database gives, now or when it is back. */
  const nextNumber = (): number => {
    newest = Math.max(environment.now(), Math.floor(newest) + 1) + environment.random();
    return newest;
  };
  const lose = () => {
    if (durable === undefined) return;
    durable = undefined;
    onChange(false);
    // Also if somebody has deleted it: after a signing out, this storage is closed before that.
    comeBackLater();
  };
  const comeBackLater = () => {
    if (isClosed) return;
    cancelReturn = environment.setTimer(() => {
      comeBack().catch(() => comeBackLater());
    }, returnMs);
  };
  const use = (store: KeyValueStore) => {
    durable = store;
    store.onLost(lose);
  };
  /**
   * The database may work again: then what was done here meanwhile is done there, and what it has of other tabs stays. One that
   * was emptied gets all that this page has.
   */
  const comeBack = async () => {
    const store = isClosed ? undefined : await openInTime(environment, name);
    if (store === undefined) return comeBackLater();
    try {
      // What another tab has ended is gone for good, unless everything is.
      if ((await store.get('facts', 'viewer')) === undefined) {
        for (const part of mirrored) for (const [key] of await memory.entries(part)) touch(part, key);
      }
      await bring(store);
      if (isClosed) throw new Error('Closed');
    } catch (error) {
      store.close();
      throw error;
    }
    use(store);
    onChange(true);
  };
  if (durable === undefined) onChange(false);
  else use(durable);

  /** Undefined if the database is away, or was lost before it has answered. */
  const attempt = async <Value>(
    run: (store: KeyValueStore) => Promise<Value>,
  ): Promise<{ value: Value } | undefined> => {
    const store = durable;
    if (store === undefined) return undefined;
    try {
      const value = await inTime(environment, run(store), answerWithinMs);
      return store === durable ? { value } : undefined;
    } catch {
      if (store === durable) lose();
      return undefined;
    }
  };
  const read = async <Value>(use: (store: KeyValueStore) => Promise<Value>): Promise<Value> => {
    while (durable !== undefined) {
      const done = await attempt(use);
      if (done !== undefined) return done.value;
    }
    return use(memory);
  };
  const write = async (
    part: StoreName,
    key: IDBValidKey,
    use: (store: KeyValueStore) => Promise<void>,
  ): Promise<void> => {
    writes += 1;
    // Both begin at once: the storage may be closed right after this call.
    const [, done] = await Promise.all([use(memory), attempt(use)]);
    if (done === undefined) touch(part, key);
  };
  for (const store of mirrored) {
    const entries = await attempt((use) => use.entries(store));
    for (const [key, value] of entries?.value ?? []) {
      await memory.put(store, key, value);
      if (store === 'outbox') newest = Math.max(newest, Number(key));
    }
  }
  return {
    isDurable: () => durable !== undefined,
    get: (store, key) => read((use) => use.get(store, key)),
    entries: async (store) => {
      const before = writes;
      const rows = await read((use) => use.entries(store));
      // What other tabs have ended must not come back from here.
      if (durable !== undefined && before === writes && touched.size === 0 && mirrored.includes(store)) {
        const there = new Set(rows.map(([key]) => key));
        for (const [key] of await memory.entries(store)) if (!there.has(key)) await memory.delete(store, key);
      }
      return rows;
    },
    put: async (store, key, value) => {
      if (mirrored.includes(store)) return write(store, key, (use) => use.put(store, key, value));
      const written = inTime(environment, (durable ?? memory).put(store, key, value), answerWithinMs);
      // What can be read again from the server may find no space: that is no reason to give the database up.
      await (store === 'files' ? written : written.catch(() => undefined));
    },
    append: (value) => {
      writes += 1;
      const before = appended;
      const asked = durable?.append(value);
      const append = async () => {
        const done = await attempt(() => asked as Promise<number>);
        // Numbers are given in the order of the questions, also if the database is lost meanwhile.
        await before;
        const number = done?.value ?? nextNumber();
        newest = Math.max(newest, number);
        writes += 1;
        const kept = memory.put('outbox', number, value);
        if (done === undefined) {
          touch('outbox', number);
          // It has another number by now.
          asked?.then((key) => write('outbox', key, (use) => use.delete('outbox', key))).catch(() => undefined);
        }
        await kept;
        return number;
      };
      appended = append();
      return appended;
    },
    delete: (store, key) => write(store, key, (use) => use.delete(store, key)),
    erase: async () => {
      isClosed = true;
      cancelReturn();
      // What is away is still on the disk.
      const store = durable ?? (await openInTime(environment, name));
      await Promise.all([memory.erase(), store && inTime(environment, store.erase(), answerWithinMs)]);
    },
    close: () => {
      isClosed = true;
      cancelReturn();
      durable?.close();
    },
  };
}

/** Undefined if there is no durable storage, or it does not open in time. */
async function openInTime(environment: Environment, name: string): Promise<KeyValueStore | undefined> {
  const opening = (async () => environment.openStorage(name))();
  try {
    return await inTime(environment, opening, openWithinMs);
  } catch {
    opening.then((store) => store.close()).catch(() => undefined);
    return undefined;
  }
}
