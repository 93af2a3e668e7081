import { storeNames } from './key-value.js';

/** Adds the parts that are missing. */
const create = (database: IDBDatabase): void => {
  for (const name of storeNames) {
    if (!database.objectStoreNames.contains(name))
      database.createObjectStore(name, name === 'outbox' ? { autoIncrement: true } : {});
  }
};
/** One step for each version, in order. The second version has `files`. */
const steps: readonly ((database: IDBDatabase) => void)[] = [create, create];

export const storageVersion = steps.length;

/** Brings a database from its version to the newest. */
export function migrate(database: IDBDatabase, from: number): void {
  for (const step of steps.slice(from)) step(database);
}
