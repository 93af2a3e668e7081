import { randomUUID } from 'node:crypto';
import { resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Logger } from 'pino';
import { ChatError } from '../domain/errors.js';
import { FolderStorage } from './folder-storage.js';
import { LateStorage } from './late-storage.js';
import { S3Refusal } from './s3-answer.js';
import type { S3Key } from './s3-client.js';
import { S3Storage } from './s3-storage.js';
import type { Signer } from './signer.js';
import type { Storage } from './storage.js';

/** The storage of a server. */
export interface StorageConfig {
  /** `file:` with the path of a folder, or `s3:` as `parseS3Url` reads it. */
  readonly url: string;
  /** For `s3:`. */
  readonly key: S3Key | undefined;
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

/** The storage answers, but not as configured. */
export class StorageRefusedError extends Error {
  override readonly name = 'StorageRefusedError';
  constructor(refusal: S3Refusal) {
    super(`${explain(refusal)} (it answers: ${refusal.message})`);
  }
}

/** A start waits no longer for the database. */
const databaseMs = 1_000;

interface OpenStorageOptions {
  readonly signer: Signer;
  /** Stores the storage's id for the database if it has none, and resolves with the one that it has. */
  readonly claim: (id: string) => Promise<string>;
  readonly log: Logger;
}

/**
 * Opens the storage, and checks that it is the one that the database belongs to. If a bucket or the database cannot be reached,
 * it is checked when it is used: a chat without its files is better than none.
 * @throws {OtherStorageError}
 * @throws {StorageRefusedError}
 * @throws {ChatError} UNAVAILABLE if a folder cannot be used
 */
export async function openStorage(
  { url, key }: StorageConfig,
  { signer, claim, log }: OpenStorageOptions,
): Promise<Storage> {
  const isFolder = url.startsWith('file:');
  const storage = isFolder
    ? new FolderStorage(folderOf(url), (name, terms) => signer.signWrite(name, terms), log)
    : new S3Storage(url, key ?? { id: '', secret: '' }, log);
  const assertClaimed = async (id: string) => {
    if ((await claim(id)) !== id) throw new OtherStorageError(url);
  };
  const check = async () => assertClaimed(await storage.identify(randomUUID()));
  const open = () => new LateStorage(storage, () => check().catch((error) => reject(error, log)));
  const id = await storage.identify(randomUUID()).catch((error: Error) => {
    if (error.cause instanceof S3Refusal && !error.cause.isOutage) throw new StorageRefusedError(error.cause);
    if (isFolder || !(error instanceof ChatError)) throw error;
    return null;
  });
  if (id === null) return open();
  const claimed = assertClaimed(id).then(() => true);
  const isChecked = await Promise.race([claimed, delay(databaseMs, false, { ref: false })]).catch((error: unknown) => {
    if (error instanceof ChatError) return false;
    throw error;
  });
  if (isChecked) return storage;
  // It will be asked again.
  claimed.catch(() => undefined);
  log.warn('The storage of files will be checked when the database can be reached');
  return open();
}

/** What is a start error at the start is a problem of the storage afterwards. */
function reject(error: unknown, log: Logger): never {
  if (error instanceof ChatError) throw error;
  log.error({ err: error }, 'The storage of files cannot be used');
  throw new ChatError('UNAVAILABLE', 'The storage of files is not available at the moment', { cause: error });
}

function explain({ status, code }: S3Refusal): string {
  if (code === 'NoSuchBucket') return 'STORAGE_URL: the storage has no such bucket';
  if (code === 'RequestTimeTooSkewed')
    return 'STORAGE_URL: the clock of this machine differs too much from that of the storage';
  if (code === 'AccessDenied') {
    return 'STORAGE_KEY_ID: the key may not read, write, list and delete in this bucket, see docs/operations.md#files';
  }
  if (status === 401 || status === 403) {
    return 'STORAGE_KEY_ID and STORAGE_SECRET_KEY: the storage does not take them';
  }
  if (status === 301 || status === 307 || code === 'AuthorizationHeaderMalformed') {
    return 'STORAGE_URL: ?region= or ?endpoint= is not that of the bucket';
  }
  return 'STORAGE_URL: the storage refuses a request';
}

/** The path of a `file:` URL, which may be relative. */
export const folderOf = (url: string): string =>
  url.startsWith('file://') ? fileURLToPath(url) : resolve(url.slice('file:'.length));
