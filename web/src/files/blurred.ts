import { thumbHashToDataURL } from 'thumbhash';

const decoded = new Map<string, string>();
const maxDecoded = 500;

/** A blurred preview as an address; undefined if the hash is none. */
export function blurredOf(thumbHash: string | null): string | undefined {
  if (thumbHash === null) return undefined;
  const known = decoded.get(thumbHash);
  if (known !== undefined) return known;
  try {
    const url = thumbHashToDataURL(Uint8Array.from(atob(thumbHash), (character) => character.charCodeAt(0)));
    decoded.set(thumbHash, url);
    const [oldest] = decoded.keys();
    if (decoded.size > maxDecoded && oldest !== undefined) decoded.delete(oldest);
    return url;
  } catch {
    return undefined;
  }
}
