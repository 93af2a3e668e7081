import { parseXml, type XmlElement } from '@rgrove/parse-xml';
import { unavailable } from './outage.js';

const outages: ReadonlySet<number> = new Set([409, 429, 500, 502, 503, 504]);
/** Answers to requests that the storage has not begun to work on. */
const untouched: ReadonlySet<number> = new Set([409, 429, 503]);
const partMs = 10_000;
/** A page of a list has at most a thousand keys. */
const maxTextBytes = 4_194_304;

/** The storage has refused a request. Its text is for the log: it has no secrets. */
export class S3Refusal extends Error {
  override readonly name = 'S3Refusal';
  constructor(
    readonly status: number,
    /** S3's own code, such as `AccessDenied`; empty if there was none. */
    readonly code: string,
  ) {
    super(`${status} ${code}`.trim());
  }

  /** The storage is overloaded, restarts, or has another request for the same object: it may take the same one later. */
  get isOutage(): boolean {
    return outages.has(this.status);
  }

  /** The storage has not begun to work on the request. */
  get isUntouched(): boolean {
    return untouched.has(this.status);
  }
}

export class StorageTimeoutError extends Error {
  override readonly name = 'StorageTimeoutError';
  constructor(ms: number) {
    super(`The storage of files has not answered for ${ms} ms`);
  }
}

/** The parts of an answer's body, as they are asked for. @throws {ChatError} UNAVAILABLE if it breaks off or stands still */
export async function* partsOf(response: Response): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader();
  if (reader === undefined) return;
  try {
    for (;;) {
      const { done, value } = await inTime(reader.read());
      if (done) return;
      yield value;
    }
  } catch (error) {
    throw unavailable(error);
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

/** @throws {Error} if the text is longer than any that is expected */
export async function readText(response: Response): Promise<string> {
  const parts: Uint8Array[] = [];
  let byteSize = 0;
  for await (const part of partsOf(response)) {
    byteSize += part.length;
    if (byteSize > maxTextBytes) throw new Error('The answer of the storage is too long');
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

/** The text in the first element of this name; empty if there is none. */
export const textIn = (element: XmlElement | null, name: string): string =>
  childrenOf(element, name)[0]?.text.trim() ?? '';

/** The elements of this name. */
export const childrenOf = (element: XmlElement | null, name: string): XmlElement[] =>
  (element?.children ?? []).filter(
    (child): child is XmlElement => child.type === 'element' && 'name' in child && child.name === name,
  );

/** Null if the text is no XML. */
export function rootOf(text: string): XmlElement | null {
  try {
    return parseXml(text).root;
  } catch {
    return null;
  }
}

/** The code of an error; empty if there is none. */
export const codeIn = (root: XmlElement | null): string => textIn(root, 'Code').replace(/\W/g, '').slice(0, 64);

async function inTime<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new StorageTimeoutError(partMs)), partMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
