import type { ByteRange } from './storage.js';

/** What a film says about itself; null where it does not, or not in a place that is looked at. */
export interface Film {
  readonly width: number | null;
  readonly height: number | null;
  readonly durationMs: number | null;
}

export const noFilm: Film = { width: null, height: null, durationMs: null };

/** Films of phones have about ten boxes up to the last one of interest, which may be at the end of the file. */
const maxReads = 64;
const headBytes = 16;
/** `mvhd` and `tkhd` are shorter. */
const bodyBytes = 128;
const maxPixels = 65_535;
const maxDurationMs = 2 ** 31 - 1;
/** Of `tkhd`: a film turned by a quarter has nothing in this place of its matrix. */
const matrixBytes = 36;

/**
 * Reads length and size of an MP4 or QuickTime film from its boxes (ISO 14496-12), with few and small reads, wherever they are.
 * Never fails for what the bytes are.
 */
export async function readFilm(byteSize: number, read: (range: ByteRange) => Promise<Buffer>): Promise<Film> {
  let film = noFilm;
  let reads = 0;
  const at = async (place: number, length: number) => {
    reads += 1;
    return read({ start: place, end: Math.min(place + length, byteSize) - 1 });
  };
  const walk = async (from: number, to: number): Promise<void> => {
    for (let place = from; place + 8 <= to && reads < maxReads; ) {
      const head = await at(place, headBytes);
      const box = readBox(head, place, to);
      if (box === undefined) return;
      if (box.name === 'moov' || box.name === 'trak') await walk(box.body, box.end);
      if (box.name === 'mvhd') film = { ...film, durationMs: readDuration(await at(box.body, bodyBytes)) };
      if (box.name === 'tkhd') film = { ...film, ...readSize(await at(box.body, bodyBytes)) };
      if (box.name === 'moov') return;
      place = box.end;
    }
  };
  await walk(0, byteSize);
  return film;
}

/** Undefined if it is none. A length of 0 means up to the end; 1 means that a longer one follows. */
function readBox(head: Buffer, place: number, to: number) {
  if (head.length < 8) return undefined;
  const name = head.toString('latin1', 4, 8);
  const short = head.readUInt32BE(0);
  const isLong = short === 1 && head.length >= headBytes;
  const length = isLong ? Number(head.readBigUInt64BE(8)) : short === 0 ? to - place : short;
  const body = place + (isLong ? headBytes : 8);
  return place + length < body ? undefined : { name, body, end: Math.min(place + length, to) };
}

function readDuration(body: Buffer): number | null {
  const isLong = body[0] === 1;
  if (body.length < 32) return null;
  const scale = body.readUInt32BE(isLong ? 20 : 12);
  const units = isLong ? Number(body.readBigUInt64BE(24)) : body.readUInt32BE(16);
  const ms = Math.round((units / scale) * 1_000);
  return Number.isFinite(ms) && ms > 0 && ms <= maxDurationMs ? ms : null;
}

/** Of a track; nothing for one without pixels, such as its sound. */
function readSize(body: Buffer): Partial<Film> {
  // The size is the last of it, in 16.16, behind the matrix.
  const place = body[0] === 1 ? 88 : 76;
  if (body.length < place + 8) return {};
  const [width, height] = [body.readUInt32BE(place) >>> 16, body.readUInt32BE(place + 4) >>> 16];
  if (width === 0 || height === 0 || Math.max(width, height) > maxPixels) return {};
  const isTurned = body.readInt32BE(place - matrixBytes) === 0;
  return isTurned ? { width: height, height: width } : { width, height };
}
