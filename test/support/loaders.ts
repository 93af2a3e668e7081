import type { Database } from '../../src/db/database.js';
import { createBatches } from '../../src/resolvers/batches.js';
import type { Deps } from '../../src/resolvers/deps.js';
import { NameCache } from '../../src/resolvers/name-cache.js';

/** The loaders of an instance that keeps no names. */
export function createLoaders(db: Database): Pick<Deps, 'batches' | 'nameCache'> {
  const nameCache = new NameCache({ isComplete: false });
  return { nameCache, batches: createBatches(db, nameCache) };
}
