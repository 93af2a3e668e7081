import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import pLimit from 'p-limit';
import type { Logger } from 'pino';
import { childrenOf, partsOf, readText, textIn } from './s3-answer.js';
import { type S3Body, S3Client, type S3Key } from './s3-client.js';
import { parseS3Url, type S3Place } from './s3-url.js';
import {
  type ByteRange,
  identityKey,
  type ReadTerms,
  type Storage,
  type StoredObject,
  type WriteAddress,
  type WriteTerms,
} from './storage.js';

const missing = 404;
/** The object exists already. */
const exists = 412;
/** The storage does not know the condition. */
const unknownCondition = [400, 501];
const ifAbsent = { 'if-none-match': '*' };

const writeMs = 20_000;
const copyMs = 30_000;
/** No longer than this is an answer proof that the storage can be reached. */
const proofMs = 2_000;
/** Two servers that give it an id at the same time, without conditions, have both written after this time. */
const settleMs = 2_000;
/** S3 allows no longer ones. */
const maxSeconds = 604_800;
const removalsAtOnce = 8;

/** A bucket of S3, or of a service like it. Clients write to it and read from it by signed addresses. */
export class S3Storage implements Storage {
  readonly receive = null;
  readonly #place: S3Place;
  readonly #client: S3Client;

  /** @param url - as `parseS3Url` reads it */
  constructor(url: string, key: S3Key, log: Logger) {
    this.#place = parseS3Url(url);
    this.#client = new S3Client(this.#place, key, log);
  }

  async addressForWriting(key: string, { contentType, byteSize, expiresAt }: WriteTerms): Promise<WriteAddress> {
    // Signing needs no storage. A client that gets an address shall find somebody there.
    if (this.#client.silentMs > proofMs) await this.sizeOf(key);
    const headers = { 'content-type': contentType };
    const seconds = Math.min(Math.max(Math.ceil((expiresAt.getTime() - Date.now()) / 1_000), 1), maxSeconds);
    const signed = { ...headers, 'content-length': String(byteSize) };
    return {
      method: 'PUT',
      url: await this.#client.presign({ method: 'PUT', key, headers: signed }, seconds),
      headers,
    };
  }

  addressForReading(key: string, { contentType, contentDisposition, seconds }: ReadTerms): Promise<string> {
    const query = { 'response-content-type': contentType, 'response-content-disposition': contentDisposition };
    return this.#client.presign({ method: 'GET', key, query }, seconds);
  }

  async sizeOf(key: string): Promise<number | null> {
    const { status, headers } = await this.#client.send({ method: 'HEAD', key }, [missing]);
    return status === missing ? null : Number(headers.get('content-length'));
  }

  async read(key: string, range?: ByteRange): Promise<Readable | null> {
    const response = await this.#get(key, range && { range: `bytes=${range.start}-${range.end}` });
    return response && Readable.from(partsOf(response), { objectMode: false });
  }

  async write(key: string, path: string, contentType: string): Promise<void> {
    const { size } = await stat(path);
    const body = { byteSize: size, open: () => createReadStream(path) };
    await this.#client.do({ method: 'PUT', key, headers: { 'content-type': contentType }, body, timeoutMs: writeMs });
  }

  async copy(from: string, to: string): Promise<boolean> {
    const { bucket, prefix } = this.#place;
    const headers = {
      'x-amz-copy-source': `/${bucket}/${prefix}${from}`,
      // Drops what the client has said of its bytes: as gzip, say, readers would unpack them.
      'x-amz-metadata-directive': 'REPLACE',
      'content-type': 'application/octet-stream',
    };
    const request = { method: 'PUT', key: to, headers, timeoutMs: copyMs, isOnce: true } as const;
    const { status } = await this.#client.ask(request, [missing]);
    return status !== missing;
  }

  async remove(key: string): Promise<void> {
    await this.#client.do({ method: 'DELETE', key }, [missing]);
  }

  async removeAll(prefix: string): Promise<void> {
    const limit = pLimit(removalsAtOnce);
    for await (const keys of this.#pages(prefix)) {
      // One by one: a request for many needs a checksum that not every service takes, and a file has five objects.
      await Promise.all(keys.map(({ key }) => limit(() => this.remove(key))));
    }
  }

  async *list(prefix: string): AsyncIterable<StoredObject> {
    for await (const page of this.#pages(prefix)) yield* page;
  }

  async identify(id: string): Promise<string> {
    const key = identityKey;
    const known = await this.#readText(key);
    if (known !== null) return known;
    const write = (condition: Readonly<Record<string, string>>, allowed: readonly number[]) =>
      this.#client.do(
        { method: 'PUT', key, headers: { 'content-type': 'text/plain', ...condition }, body: bodyOf(id) },
        allowed,
      );
    const status = await write(ifAbsent, [exists, ...unknownCondition]);
    if (unknownCondition.includes(status)) await write({}, []);
    // Also if the condition was accepted: some services ignore it.
    if (status !== exists) await delay(settleMs);
    const stored = await this.#readText(key);
    if (stored === null) throw new Error(`The storage has lost ${key} at once`);
    return stored;
  }

  async #readText(key: string): Promise<string | null> {
    const response = await this.#get(key);
    return response && readText(response);
  }

  /** Null if there is no such object. */
  async #get(key: string, headers: Readonly<Record<string, string>> = {}): Promise<Response | null> {
    const response = await this.#client.send({ method: 'GET', key, headers }, [missing]);
    const { status, body } = response;
    const encoding = response.headers.get('content-encoding') ?? 'identity';
    if (status !== missing && encoding === 'identity') return response;
    await body?.cancel();
    // `fetch` would unpack it, to any size.
    if (status !== missing) throw new Error(`The object ${key} is encoded as ${encoding}`);
    return null;
  }

  /** The objects whose key begins so, page by page. */
  async *#pages(prefix: string): AsyncGenerator<StoredObject[]> {
    const own = this.#place.prefix;
    let token = '';
    do {
      const query = {
        'list-type': '2',
        prefix: own + prefix,
        ...(token === '' ? {} : { 'continuation-token': token }),
      };
      const { root } = await this.#client.ask({ method: 'GET', query, timeoutMs: writeMs });
      yield childrenOf(root, 'Contents').map((object) => ({
        key: textIn(object, 'Key').slice(own.length),
        modifiedAt: new Date(textIn(object, 'LastModified')),
      }));
      const next = textIn(root, 'IsTruncated') === 'true' ? textIn(root, 'NextContinuationToken') : '';
      if (next !== '' && next === token) throw new Error('The storage lists the same page for ever');
      token = next;
    } while (token !== '');
  }
}

function bodyOf(text: string): S3Body {
  const bytes = Buffer.from(text);
  return {
    byteSize: bytes.length,
    open: async function* () {
      yield bytes;
    },
  };
}
