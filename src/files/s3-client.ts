import { setTimeout as delay } from 'node:timers/promises';
import type { XmlElement } from '@rgrove/parse-xml';
import { AwsV4Signer } from 'aws4fetch';
import type { Logger } from 'pino';
import { ChatError } from '../domain/errors.js';
import { OutageLog, unavailable } from './outage.js';
import { codeIn, readText, rootOf, S3Refusal, StorageTimeoutError } from './s3-answer.js';
import type { S3Place } from './s3-url.js';

/** The id of an access key, and its secret. */
export interface S3Key {
  readonly id: string;
  readonly secret: string;
}

export interface S3Request {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'DELETE';
  /** Without one, the request is about the bucket. */
  readonly key?: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: S3Body;
  /** For an answer, or for the next part of the body. */
  readonly timeoutMs?: number;
  /** Never sent again unless it was refused: the storage may still be at work on a request that it did not answer. */
  readonly isOnce?: boolean;
}

export interface S3Body {
  readonly byteSize: number;
  /** Called anew for each try. */
  open(): AsyncIterable<Uint8Array>;
}

const answerMs = 4_000;
const tries = 3;
const firstPauseMs = 100;

/**
 * Signed requests to a bucket. Each has a limit in time and is tried up to three times, except one that ran into its limit.
 * Failures are a ChatError UNAVAILABLE, with an S3Refusal as its cause if the storage has refused the request.
 */
export class S3Client {
  readonly #place: S3Place;
  readonly #key: S3Key;
  readonly #outages: OutageLog;
  readonly #signingKeys = new Map<string, ArrayBuffer>();
  #answeredAt = Number.NEGATIVE_INFINITY;

  constructor(place: S3Place, key: S3Key, log: Logger) {
    this.#place = place;
    this.#key = key;
    this.#outages = new OutageLog(log);
  }

  /** How long ago the storage answered for the last time; Infinity if it never did. */
  get silentMs(): number {
    return performance.now() - this.#answeredAt;
  }

  /** Resolves with an answer of status 2xx, or of one of `allowed`. Its body must be read, or cancelled. */
  async send(request: S3Request, allowed: readonly number[] = []): Promise<Response> {
    for (let attempt = 1; ; attempt++) {
      try {
        const response = await this.#try(request);
        if (response.ok || allowed.includes(response.status)) {
          this.#outages.noteSuccess();
          return response;
        }
        throw new S3Refusal(response.status, response.body === null ? '' : codeIn(rootOf(await readText(response))));
      } catch (error) {
        if (attempt === tries || !mayPass(error, request)) {
          this.#outages.noteFailure(error);
          throw unavailable(error);
        }
        await delay(firstPauseMs * 4 ** (attempt - 1) * (0.5 + Math.random()));
      }
    }
  }

  /** `send` for an answer whose body does not matter. */
  async do(request: S3Request, allowed: readonly number[] = []): Promise<number> {
    const { status, body } = await this.send(request, allowed);
    await body?.cancel().catch(() => undefined);
    return status;
  }

  /** `send` for an answer in XML. @throws {ChatError} UNAVAILABLE also if it is an error after all */
  async ask(request: S3Request, allowed: readonly number[] = []): Promise<{ status: number; root: XmlElement | null }> {
    const response = await this.send(request, allowed);
    const { status } = response;
    const root = rootOf(await readText(response));
    // A copy that takes long begins with 200, whatever becomes of it.
    if (response.ok && (root === null || root.name === 'Error')) throw unavailable(new S3Refusal(status, codeIn(root)));
    return { status, root };
  }

  /** The address of a request that a client may send without a key. All its headers are signed. */
  async presign(
    { method, key, query, headers }: Pick<S3Request, 'method' | 'key' | 'query' | 'headers'>,
    seconds: number,
  ): Promise<string> {
    const expires = { 'X-Amz-Expires': String(seconds) };
    const { url } = await this.#sign(
      { method, ...(key === undefined ? {} : { key }), query: { ...query, ...expires }, headers: headers ?? {} },
      { signQuery: true, allHeaders: true },
    );
    return url;
  }

  async #try(request: S3Request): Promise<Response> {
    const { method, body, headers, timeoutMs = answerMs } = request;
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(new StorageTimeoutError(timeoutMs)), timeoutMs);
    try {
      const length = body === undefined ? {} : { 'content-length': String(body.byteSize) };
      const signed = await this.#sign({ ...request, headers: { ...headers, ...length } });
      // Not signed, because Google's servers change it on the way.
      signed.headers.set('accept-encoding', 'identity');
      const response = await fetch(signed.url, {
        method,
        headers: signed.headers,
        signal: abort.signal,
        // A body that might be sent again after a redirect would be kept in memory: `fetch` takes these two as "never again".
        ...(body === undefined
          ? { redirect: 'manual' }
          : { body: toStream(body, timer), duplex: 'half', redirect: 'error', window: null }),
      } as RequestInit);
      if (response.status < 500) this.#answeredAt = performance.now();
      return response;
    } finally {
      clearTimeout(timer);
    }
  }

  async #sign(
    { method, key, query = {}, headers = {} }: S3Request,
    options: { signQuery?: boolean; allHeaders?: boolean } = {},
  ): Promise<{ url: string; headers: Headers }> {
    const { url: base, prefix, region } = this.#place;
    const url = new URL(key === undefined ? base : `${base}/${prefix}${key}`);
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    const signed = await new AwsV4Signer({
      method,
      url: url.href,
      headers,
      service: 's3',
      region,
      accessKeyId: this.#key.id,
      secretAccessKey: this.#key.secret,
      cache: this.#signingKeys,
      ...options,
    }).sign();
    // A space as %20, as it was signed: not every server takes a + for one.
    return { url: signed.url.href.replaceAll('+', '%20'), headers: signed.headers };
  }
}

/** Sends the file in parts; each that is taken gives the request more time. */
function toStream({ open }: S3Body, timer: NodeJS.Timeout): AsyncIterable<Uint8Array> {
  return (async function* () {
    for await (const part of open()) {
      timer.refresh();
      yield part;
    }
    timer.refresh();
  })();
}

/** Whether another try may succeed. One that has waited in vain is not repeated: its caller waits as well. */
function mayPass(error: unknown, { isOnce = false }: S3Request): boolean {
  if (error instanceof S3Refusal) return isOnce ? error.isUntouched : error.isOutage;
  return !(isOnce || error instanceof StorageTimeoutError || error instanceof ChatError);
}
