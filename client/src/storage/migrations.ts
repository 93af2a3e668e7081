import type { IDBPDatabase } from 'idb';
import { storeNames } from './key-value.js';

/** One step for each version, in order. A released step is never changed: a new version gets a new one. */
const steps: readonly ((database: IDBPDatabase) => void)[] = [
  (database) => {
    for (const name of storeNames) database.createObjectStore(name, name === 'outbox' ? { autoIncrement: true } : {});
  },
];

export const storageVersion = steps.length;

/** Brings a database from its version to the newest. */
export function migrate(database: IDBPDatabase, from: number): void {
  for (const step of steps.slice(from)) step(database);
}
