import type { Readable } from 'node:stream';
import type { ByteRange, ReadTerms, Receive, Storage, StoredObject, WriteAddress, WriteTerms } from './storage.js';

/**
 * A storage that could not be checked when the server started. Each use checks it first, until a check has succeeded, and
 * rejects with the error of a check that has failed.
 */
export class LateStorage implements Storage {
  readonly receive: Receive | null;
  readonly #storage: Storage;
  readonly #check: () => Promise<void>;
  #checked: Promise<void> | undefined;

  constructor(storage: Storage, check: () => Promise<void>) {
    this.#storage = storage;
    this.#check = check;
    const { receive } = storage;
    this.receive = receive && (async (...args) => this.#ready().then(() => receive(...args)));
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

  async remove(key: string): Promise<void> {
    return (await this.#ready()).remove(key);
  }

  async removeAll(prefix: string): Promise<void> {
    return (await this.#ready()).removeAll(prefix);
  }

  async *list(prefix: string): AsyncIterable<StoredObject> {
    yield* (await this.#ready()).list(prefix);
  }

  async identify(id: string): Promise<string> {
    return (await this.#ready()).identify(id);
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
