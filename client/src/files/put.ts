import type { Environment } from '../environment/environment.js';
import { FairwayError } from '../errors.js';

/** A request that moves no byte for this time is given up. */
const stalledMs = 30_000;
/** Where nobody says how far it is, the whole request may take so long. */
const wholeMs = 600_000;

/** Where the bytes go, as `createUpload` has said. */
export interface PutTarget {
  readonly method: string;
  readonly url: string;
  readonly headers: readonly { readonly name: string; readonly value: string }[];
}

interface PutOptions {
  readonly environment: Environment;
  readonly signal: AbortSignal;
  /** Called with the number of bytes that have left, where the platform says it. */
  readonly onProgress: (bytes: number) => void;
}

/**
 * Sends the bytes. Resolves with the status of the answer.
 * @throws {FairwayError} NO_ANSWER if the way broke off or stalled; CLOSED if it was aborted
 */
export const put = (target: PutTarget, bytes: Blob, options: PutOptions): Promise<number> =>
  typeof XMLHttpRequest === 'undefined' ? putByFetch(target, bytes, options) : putByXhr(target, bytes, options);

function putByXhr({ method, url, headers }: PutTarget, bytes: Blob, options: PutOptions): Promise<number> {
  const { environment, signal, onProgress } = options;
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    let isStalled = false;
    let cancel = () => {};
    const abort = () => request.abort();
    const watch = () => {
      cancel();
      cancel = environment.setTimer(() => {
        isStalled = true;
        request.abort();
      }, stalledMs);
    };
    request.open(method, url);
    for (const { name, value } of headers) request.setRequestHeader(name, value);
    request.upload.onprogress = ({ loaded }) => {
      watch();
      onProgress(loaded);
    };
    request.onload = () => resolve(request.status);
    request.onerror = () => reject(broken());
    request.onabort = () => reject(isStalled ? broken() : aborted());
    request.onloadend = () => {
      cancel();
      signal.removeEventListener('abort', abort);
    };
    signal.addEventListener('abort', abort);
    watch();
    request.send(bytes);
    if (signal.aborted) abort();
  });
}

async function putByFetch({ method, url, headers }: PutTarget, bytes: Blob, options: PutOptions): Promise<number> {
  const { environment, signal } = options;
  if (signal.aborted) throw aborted();
  const stop = new AbortController();
  const abort = () => stop.abort();
  signal.addEventListener('abort', abort);
  const cancel = environment.setTimer(abort, wholeMs);
  try {
    const init = { method, headers: headers.map(({ name, value }): [string, string] => [name, value]), body: bytes };
    return (await environment.fetch(url, { ...init, signal: stop.signal })).status;
  } catch {
    throw signal.aborted ? aborted() : broken();
  } finally {
    cancel();
    signal.removeEventListener('abort', abort);
  }
}

const broken = () => new FairwayError('NO_ANSWER', 'The bytes did not arrive');
const aborted = () => new FairwayError('CLOSED', 'The message was discarded');
