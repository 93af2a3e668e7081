import { randomUUID } from 'node:crypto';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FolderStorage } from './folder-storage.js';
import type { Signer } from './signer.js';
import type { Storage } from './storage.js';

/** The storage of a server. */
export interface StorageConfig {
  /** `file:` with the path of a folder. */
  readonly url: string;
}

/** The instances use different storages: each would miss the files of the others. */
export class OtherStorageError extends Error {
  override readonly name = 'OtherStorageError';
  constructor(url: string) {
    super(
      `STORAGE_URL: ${url} is not the storage that this database was used with: the files of its messages are not there. All instances need the same one. ` +
        "If the old one is lost or was moved on purpose, forget it: DELETE FROM chat_keys WHERE name = 'storage'",
    );
  }
}

const identityKey = 'storage-id';

/**
 * Opens the storage, and checks that it is the one that the database belongs to.
 * @param claim - stores the storage's id for the database if it has none, and resolves with the one that it has
 * @throws {OtherStorageError}
 */
export async function openStorage(
  { url }: StorageConfig,
  signer: Signer,
  claim: (id: string) => Promise<string>,
): Promise<Storage> {
  const storage = new FolderStorage(folderOf(url), (key, terms) => signer.signWrite(key, terms));
  const id = await storage.claim(identityKey, randomUUID());
  if ((await claim(id)) !== id) throw new OtherStorageError(url);
  return storage;
}

/** The path of a `file:` URL, which may be relative. */
export const folderOf = (url: string): string =>
  url.startsWith('file://') ? fileURLToPath(url) : resolve(url.slice('file:'.length));
