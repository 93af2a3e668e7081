import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto';

const prefix = ',"seal":"';
/** 256 bits in base64url. */
const sealLength = 43;
const tailLength = prefix.length + sealLength + '"}'.length;
const encoder = new TextEncoder();
const tail = encoder.encode(prefix);

/**
 * Tells entries that an instance has published from what anybody else has: by an HMAC over the body, as its last field,
 * `seal`. The key is in the database, so whoever may read that may publish as an instance. A few microseconds a body.
 */
export class EntrySeal {
  readonly #readKey: () => Uint8Array | undefined;
  #bytes: Uint8Array | undefined;
  #key: KeyObject | undefined;

  /** @param readKey - as the newest connection has told it; undefined until there was one */
  constructor(readKey: () => Uint8Array | undefined) {
    this.#readKey = readKey;
  }

  /** The JSON object with the seal as its last field; as it is where no key is known. */
  put(object: string): string {
    const open = object.slice(0, -1);
    const mac = this.#macOf(open);
    return mac === undefined ? object : `${open}${prefix}${mac.toString('base64url')}"}`;
  }

  /** Whether the body is one that was sealed with this key, byte for byte. */
  isOn(body: Uint8Array): boolean {
    const at = body.length - tailLength;
    if (at < 1 || !tail.every((byte, index) => body[at + index] === byte)) return false;
    const mac = this.#macOf(body.subarray(0, at));
    const from = at + prefix.length;
    const told = Buffer.from(Buffer.from(body.subarray(from, from + sealLength)).toString('latin1'), 'base64url');
    return mac !== undefined && told.length === mac.length && timingSafeEqual(told, mac);
  }

  #macOf(data: string | Uint8Array): Buffer | undefined {
    const bytes = this.#readKey();
    if (bytes === undefined) return undefined;
    if (bytes !== this.#bytes) {
      this.#bytes = bytes;
      this.#key = createSecretKey(bytes);
    }
    return this.#key && createHmac('sha256', this.#key).update(data).digest();
  }
}
