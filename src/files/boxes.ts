/** A box of an ISO file (14496-12): MP4, QuickTime, M4A. */
export interface Box {
  readonly name: string;
  /** Where its content begins. */
  readonly body: number;
  /** Where it ends, as it says: perhaps behind the end of what it is in. */
  readonly end: number;
}

/** The longest head of a box. */
export const boxHeadBytes = 16;
const shortHeadBytes = 8;

/**
 * The box that begins at `place` with these bytes; undefined if it is none. A length of 0 means up to `to`, the end of what it is
 * in; 1 means that a longer one follows.
 */
export function readBox(head: Buffer, place: number, to: number): Box | undefined {
  if (head.length < shortHeadBytes) return undefined;
  const name = head.toString('latin1', 4, 8);
  const short = head.readUInt32BE(0);
  const isLong = short === 1 && head.length >= boxHeadBytes;
  const length = isLong ? Number(head.readBigUInt64BE(8)) : short === 0 ? to - place : short;
  const body = place + (isLong ? boxHeadBytes : shortHeadBytes);
  return place + length < body ? undefined : { name, body, end: place + length };
}

/** The types of files that consist of boxes. */
export const hasBoxes = (contentType: string): boolean =>
  /^(?:video\/(?:mp4|quicktime|3gpp2?)|audio\/mp4)$/.test(contentType);
