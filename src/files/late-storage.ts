import type { Readable } from 'node:stream';
import type { ByteRange, ReadTerms, Storage, StoredObject, WriteAddress, WriteTerms } from './storage.js';

/** A storage that did not answer when the server started. Each use checks it first, until a check has succeeded. */
export class LateStorage implements Storage {
  readonly #storage: Storage;
  readonly #check: () => Promise<void>;
  #checked: Promise<void> | undefined;

  constructor(storage: Storage, check: () => Promise<void>) {
    this.#storage = storage;
    this.#check = check;
  }

  async addressForWriting(key: string, terms: WriteTerms): Promise<WriteAddress> {
    return (await this.#ready()).addressForWriting(key, terms);
  }

  async addressForReading(key: string, terms: ReadTerms): Promise<string | null> {
    return (await this.#ready()).addressForReading(key, terms);
  }

  async sizeOf(key: string): Promise<number | null> {
    return (await this.#ready()).sizeOf(key);
  }

  async read(key: string, range?: ByteRange): Promise<Readable | null> {
    return (await this.#ready()).read(key, range);
  }

  async write(key: string, path: string, contentType: string): Promise<void> {
    return (await this.#ready()).write(key, path, contentType);
  }

  async copy(from: string, to: string): Promise<boolean> {
    return (await this.#ready()).copy(from, to);
  }

  async removeAll(prefix: string): Promise<void> {
    return (await this.#ready()).removeAll(prefix);
  }

  async *list(): AsyncIterable<StoredObject> {
    yield* (await this.#ready()).list();
  }

  async claim(key: string, text: string): Promise<string> {
    return (await this.#ready()).claim(key, text);
  }

  async #ready(): Promise<Storage> {
    // All who wait share one check; a failed one is forgotten.
    this.#checked ??= this.#check().catch((error: unknown) => {
      this.#checked = undefined;
      throw error;
    });
    await this.#checked;
    return this.#storage;
  }
}
