import { randomUUID } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { copyFile, link, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ChatError } from '../domain/errors.js';
import type { ByteRange, Storage, StoredObject, WriteAddress, WriteTerms } from './storage.js';

/** Makes the address at which this server receives an object. */
export type SignWrite = (key: string, terms: WriteTerms) => WriteAddress;

type Put = (from: string, to: string) => Promise<void>;

const scratch = 'scratch';

/**
 * A folder, which all instances share. Every write goes to a scratch file first, which takes the object's place when it is
 * whole and on disk.
 */
export class FolderStorage implements Storage {
  readonly #root: string;
  readonly #signWrite: SignWrite;

  constructor(root: string, signWrite: SignWrite) {
    this.#root = root;
    this.#signWrite = signWrite;
  }

  addressForWriting(key: string, terms: WriteTerms): Promise<WriteAddress> {
    return Promise.resolve(this.#signWrite(key, terms));
  }

  addressForReading(): Promise<null> {
    return Promise.resolve(null);
  }

  /** The path of the object on this machine. */
  pathOf(key: string): string {
    if (!/^[\w-][\w.-]*(?:\/[\w-][\w.-]*)*$/.test(key)) throw new Error(`Not a key: ${key}`);
    return join(this.#root, key);
  }

  async sizeOf(key: string): Promise<number | null> {
    return orNull(async () => (await stat(this.pathOf(key))).size);
  }

  async read(key: string, range?: ByteRange): Promise<Readable | null> {
    return orNull(async () => {
      const file = await open(this.pathOf(key));
      return createReadStream('', { fd: file, ...range });
    });
  }

  /** Receives what a client writes. @throws {ChatError} BAD_USER_INPUT unless it has exactly this length */
  async receive(key: string, bytes: AsyncIterable<Buffer>, byteSize: number): Promise<void> {
    await this.#fill(key, (path) => pipeline(withLength(bytes, byteSize), createWriteStream(path, { flush: true })));
  }

  async write(key: string, path: string): Promise<void> {
    await this.#fill(key, (scratchPath) => copySafely(path, scratchPath));
  }

  async copy(from: string, to: string): Promise<void> {
    const source = this.pathOf(from);
    await orNull(() => this.#fill(to, (path) => copySafely(source, path), putUnlessThere));
  }

  async removeAll(prefix: string): Promise<void> {
    const path = prefix.endsWith('/') ? this.pathOf(prefix.slice(0, -1)) : this.pathOf(prefix);
    await guarded(() => rm(path, { recursive: true, force: true }));
  }

  async *list(): AsyncIterable<StoredObject> {
    const entries = await guarded(() => readdir(this.#root, { recursive: true, withFileTypes: true }));
    for (const entry of entries) {
      if (!entry.isFile()) continue;
      const path = join(entry.parentPath, entry.name);
      const found = await orNull(() => stat(path));
      if (found === null) continue;
      const key = path.slice(this.#root.length + 1);
      yield { key, modifiedAt: found.mtime };
    }
  }

  async claim(key: string, text: string): Promise<string> {
    const path = this.pathOf(key);
    await guarded(async () => {
      await mkdir(dirname(path), { recursive: true });
      const file = await open(path, 'wx').catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'EEXIST') throw error;
      });
      if (file === undefined) return;
      await file.writeFile(text);
      await file.close();
    });
    return guarded(() => readFile(path, 'utf8'));
  }

  /** Fills a scratch file, and puts it into its place when it is whole. */
  async #fill(key: string, fill: (path: string) => Promise<void>, put: Put = rename): Promise<void> {
    const path = this.pathOf(key);
    const temporary = join(this.#root, scratch, randomUUID());
    try {
      await guarded(async () => {
        await mkdir(join(this.#root, scratch), { recursive: true });
        await mkdir(dirname(path), { recursive: true });
        await fill(temporary);
        await put(temporary, path);
      });
    } finally {
      await rm(temporary, { force: true }).catch(() => undefined);
    }
  }
}

async function putUnlessThere(from: string, to: string): Promise<void> {
  await link(from, to).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
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

/** A full, read-only or lost disk is an outage; a missing file is not. */
async function guarded<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined || !outages.has(code)) throw error;
    throw new ChatError('UNAVAILABLE', 'The storage of files is not available at the moment', { cause: error });
  }
}

const outages: ReadonlySet<string> = new Set([
  ...['ENOSPC', 'EDQUOT', 'EROFS', 'EIO', 'EMFILE', 'ENFILE', 'ESTALE', 'EACCES', 'EPERM', 'ETIMEDOUT', 'ENOTDIR'],
]);
