import { createHmac, timingSafeEqual } from 'node:crypto';
import { ChatError } from '../domain/errors.js';
import type { WriteAddress, WriteTerms } from './storage.js';

/** A token for reading files is the same for this long, so that browsers keep what they have read. */
const windowMs = 3_600_000;

/**
 * Signs the addresses at which this server receives files, and tokens that read files and nothing else. All instances share
 * the key, which is in the database.
 */
export class Signer {
  readonly #readKey: () => Uint8Array | undefined;
  readonly #now: () => number;

  /** @param now - in milliseconds, by the clock that all instances share */
  constructor(readKey: () => Uint8Array | undefined, now: () => number) {
    this.#readKey = readKey;
    this.#now = now;
  }

  /** The address at which a server of ours receives the object, with these terms and no others. */
  signWrite(key: string, { contentType, byteSize, expiresAt, userId }: WriteTerms): WriteAddress {
    const expires = String(expiresAt.getTime());
    const [size, user] = [String(byteSize), String(userId)];
    const signature = this.#sign('write', key, contentType, size, user, expires);
    const query = new URLSearchParams({ size, type: contentType, user, expires, signature });
    return { method: 'PUT', url: `/files/${key}?${query}`, headers: { 'content-type': contentType } };
  }

  /** Returns what was signed. @throws {ChatError} FORBIDDEN unless the query was signed here, and is not too old */
  checkWrite(
    key: string,
    query: URLSearchParams,
    contentType: string | undefined,
  ): Pick<WriteTerms, 'byteSize' | 'userId'> {
    const { size = '', type = '', user = '', expires = '', signature = '' } = Object.fromEntries(query);
    if (!this.#isSigned(signature, 'write', key, type, size, user, expires) || Number(expires) < this.#now()) {
      throw new ChatError('FORBIDDEN', 'This address is not valid any more: call createUpload again with the same id');
    }
    if (contentType !== type) throw new ChatError('FORBIDDEN', `Content-Type must be ${type}, as createUpload says`);
    return { byteSize: Number(size), userId: Number(user) };
  }

  /** A token with which the user reads files. It is the same for everybody who asks within an hour, and good for one to two hours. */
  signAccess(userId: number): { readonly token: string; readonly expiresAt: Date } {
    const expires = (Math.floor(this.#now() / windowMs) + 2) * windowMs;
    const subject = `${userId}.${expires}`;
    return { token: `${subject}.${this.#sign('access', subject)}`, expiresAt: new Date(expires) };
  }

  /** The user of the token; null unless it is valid. */
  checkAccess(token: string): number | null {
    const [, subject = '', userId, expires, signature = ''] = /^((\d{1,10})\.(\d{1,15}))\.([\w-]+)$/.exec(token) ?? [];
    if (!this.#isSigned(signature, 'access', subject) || Number(expires) < this.#now()) return null;
    return Number(userId);
  }

  #isSigned(signature: string, ...parts: readonly string[]): boolean {
    const [given, right] = [Buffer.from(signature), Buffer.from(this.#sign(...parts))];
    return given.length === right.length && timingSafeEqual(given, right);
  }

  #sign(...parts: readonly string[]): string {
    const key = this.#readKey();
    if (key === undefined) throw new ChatError('UNAVAILABLE', 'The database is not connected yet');
    return createHmac('sha256', key).update(JSON.stringify(parts)).digest('base64url');
  }
}
