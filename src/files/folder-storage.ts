import { randomUUID } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import {
  copyFile,
  constants as fileConstants,
  link,
  mkdir,
  open,
  opendir,
  readFile,
  rename,
  rm,
  rmdir,
  stat,
  writeFile,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Logger } from 'pino';
import { ChatError } from '../domain/errors.js';
import { OutageLog, unavailable } from './outage.js';
import {
  type ByteRange,
  identityKey,
  type Receive,
  type Storage,
  type StoredObject,
  type WriteAddress,
  type WriteTerms,
} from './storage.js';

/** Makes the address at which this server receives an object. */
export type SignWrite = (key: string, terms: WriteTerms) => WriteAddress;

const scratch = 'scratch';
const statsAtOnce = 64;
const placeTries = 3;

/** The folder is not there, or another one is in its place: the disk that has it is not mounted. */
class LostFolderError extends Error {
  override readonly name = 'LostFolderError';
  constructor(root: string) {
    super(`${root} is not the folder that it was: its ${identityKey} is another one, or is missing`);
  }
}

/**
 * A folder, which all instances share. Every write goes to a scratch file first, which takes the object's place when it is
 * whole and on disk. Once it has been identified, it writes and misses nothing while the folder at its path is another one: it
 * is UNAVAILABLE then. So a disk that is not mounted any more is not mistaken for an empty one.
 */
export class FolderStorage implements Storage {
  readonly #root: string;
  readonly #signWrite: SignWrite;
  readonly #outages: OutageLog;
  #id: string | undefined;

  constructor(root: string, signWrite: SignWrite, log: Logger) {
    this.#root = root;
    this.#signWrite = signWrite;
    this.#outages = new OutageLog(log);
  }

  addressForWriting(key: string, terms: WriteTerms): Promise<WriteAddress> {
    return this.#assertOwn().then(() => this.#signWrite(key, terms));
  }

  addressForReading(): Promise<null> {
    return Promise.resolve(null);
  }

  readonly receive: Receive = (key, bytes, byteSize) =>
    this.#put(key, (path) => pipeline(withLength(bytes, byteSize), createWriteStream(path, { flush: true })));

  /** The path of the object on this machine. */
  pathOf(key: string): string {
    if (!/^[\w-][\w.-]*(?:\/[\w-][\w.-]*)*$/.test(key)) throw new Error(`Not a key: ${key}`);
    return join(this.#root, key);
  }

  async sizeOf(key: string): Promise<number | null> {
    return this.#find(async () => (await stat(this.pathOf(key))).size);
  }

  async read(key: string, range?: ByteRange): Promise<Readable | null> {
    return this.#find(async () => {
      const file = await open(this.pathOf(key));
      return createReadStream('', { fd: file, ...range });
    });
  }

  async write(key: string, path: string): Promise<void> {
    await this.#put(key, (scratchPath) => copySafely(path, scratchPath));
  }

  async copy(from: string, to: string): Promise<boolean> {
    const source = this.pathOf(from);
    const found = await orNull(() => this.#put(to, (path) => copySafely(source, path)).then(() => true));
    return found === true;
  }

  async remove(key: string): Promise<void> {
    const path = this.pathOf(key);
    await this.#change(async () => {
      await rm(path, { force: true });
      // The folder of a file, if nothing else is in it.
      if (key.split('/').length > 2) await rmdir(dirname(path)).catch(() => undefined);
    });
  }

  async removeAll(prefix: string): Promise<void> {
    const path = this.pathOf(prefix.replace(/\/$/, ''));
    await this.#change(() => rm(path, { recursive: true, force: true }));
  }

  async *list(prefix: string): AsyncIterable<StoredObject> {
    const folder = this.pathOf(prefix.replace(/\/$/, ''));
    await this.#assertOwn();
    try {
      for await (const paths of inGroups(walk(folder))) {
        const found = await Promise.all(paths.map((path) => orNull(() => stat(path))));
        for (const [index, path] of paths.entries()) {
          const { mtime } = found[index] ?? {};
          if (mtime !== undefined) yield { key: path.slice(this.#root.length + 1), modifiedAt: mtime };
        }
      }
    } catch (error) {
      throw asOutage(error);
    }
    // Otherwise the list is not whole.
    await this.#assertOwn();
  }

  async identify(id: string): Promise<string> {
    if (this.#id !== undefined) {
      await this.#assertOwn();
      return this.#id;
    }
    const path = this.pathOf(identityKey);
    const temporary = join(this.#root, scratch, randomUUID());
    return guarded(async () => {
      if ((await orNull(() => stat(path))) === null) {
        await mkdir(dirname(temporary), { recursive: true });
        await writeFile(temporary, id, { flush: true });
        await putFirst(temporary, path).finally(() => rm(temporary, { force: true }));
      }
      this.#id = await readFile(path, 'utf8');
      return this.#id;
    });
  }

  /** @throws {ChatError} UNAVAILABLE if another folder is at its path, or none */
  async #assertOwn(): Promise<void> {
    if (this.#id === undefined) return;
    const found = await orNull(() => readFile(this.pathOf(identityKey), 'utf8'));
    if (found === this.#id) return this.#outages.noteSuccess();
    const error = new LostFolderError(this.#root);
    this.#outages.noteFailure(error);
    throw unavailable(error);
  }

  /** Null if there is no such file in the storage's own folder. */
  async #find<T>(work: () => Promise<T>): Promise<T | null> {
    const found = await orNull(work);
    if (found === null || this.#outages.isAway) await this.#assertOwn();
    return found;
  }

  /** What is done while the folder is lost counts as not done, so that it is repeated. */
  async #change(work: () => Promise<void>): Promise<void> {
    await this.#assertOwn();
    try {
      await guarded(work);
    } finally {
      await this.#assertOwn();
    }
  }

  async #put(key: string, fill: (path: string) => Promise<void>): Promise<void> {
    const path = this.pathOf(key);
    const temporary = join(this.#root, scratch, randomUUID());
    try {
      await this.#change(async () => {
        await mkdir(dirname(temporary), { recursive: true });
        await fill(temporary);
        await this.#place(temporary, path);
      });
    } finally {
      await rm(temporary, { force: true }).catch(() => undefined);
    }
  }

  async #place(temporary: string, path: string): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      // Filling it may have taken an hour.
      await this.#assertOwn();
      await mkdir(dirname(path), { recursive: true });
      try {
        return await rename(temporary, path);
      } catch (error) {
        // `remove` may have taken the empty folder away.
        if (attempt === placeTries || (error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
    }
  }
}

/** Puts the file there unless there is one already. */
async function putFirst(from: string, to: string): Promise<void> {
  try {
    // A file system without hard links, such as a share of Windows, has a moment in which the file is empty.
    await link(from, to).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST') throw error;
      return copyFile(from, to, fileConstants.COPYFILE_EXCL);
    });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/** The copy is on disk when it resolves. */
async function copySafely(from: string, to: string): Promise<void> {
  await copyFile(from, to);
  const file = await open(to, 'r+');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/** The files in the folder and in the folders in it. Keeps a few names at a time, however many there are. */
async function* walk(folder: string): AsyncGenerator<string> {
  for await (const entry of (await orNull(() => opendir(folder))) ?? []) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* walk(path);
    else if (entry.isFile()) yield path;
  }
}

async function* inGroups(paths: AsyncIterable<string>): AsyncGenerator<string[]> {
  let group: string[] = [];
  for await (const path of paths) {
    if (group.push(path) < statsAtOnce) continue;
    yield group;
    group = [];
  }
  yield group;
}

async function* withLength(bytes: AsyncIterable<Buffer>, byteSize: number): AsyncIterable<Buffer> {
  let length = 0;
  for await (const chunk of bytes) {
    length += chunk.length;
    if (length > byteSize) break;
    yield chunk;
  }
  if (length !== byteSize) throw new ChatError('BAD_USER_INPUT', `The body must have exactly ${byteSize} bytes`);
}

/** Null if there is no such file. */
const orNull = <T>(work: () => Promise<T>): Promise<T | null> =>
  guarded(work).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  });

const guarded = async <T>(work: () => Promise<T>): Promise<T> => {
  try {
    return await work();
  } catch (error) {
    throw asOutage(error);
  }
};

/** A full, read-only or lost disk is an outage; a missing file is not. */
function asOutage(error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException;
  return code !== undefined && outages.has(code) ? unavailable(error) : error;
}

const outages: ReadonlySet<string> = new Set([
  ...['ENOSPC', 'EDQUOT', 'EROFS', 'EIO', 'EMFILE', 'ENFILE', 'ESTALE', 'ENOTCONN', 'EHOSTDOWN'],
  ...['EACCES', 'EPERM', 'ETIMEDOUT', 'ENOTDIR', 'EEXIST'],
]);
