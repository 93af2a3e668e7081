import { boxHeadBytes, readBox } from './boxes.js';
import type { ReadBytes } from './sound.js';

/** What a film says about itself; null where it does not, or not in a place that is looked at. */
export interface Film {
  readonly width: number | null;
  readonly height: number | null;
  readonly durationMs: number | null;
}

const noFilm: Film = { width: null, height: null, durationMs: null };

/** Films of phones have about ten boxes up to the last one of interest, which may be at the end of the file. */
const maxReads = 64;
/** `mvhd` and `tkhd` are shorter. */
const bodyBytes = 128;
const maxPixels = 65_535;
const maxDurationMs = 2 ** 31 - 1;
/** Of `tkhd`: a film turned by a quarter has nothing in this place of its matrix. */
const matrixBytes = 36;

/**
 * Reads length and size of an MP4 or QuickTime film, or the length of an M4A, from its boxes (ISO 14496-12), with few and small reads, wherever they are.
 * Never fails for what the bytes are.
 */
export async function readFilm(byteSize: number, read: ReadBytes): Promise<Film> {
  let film = noFilm;
  let reads = 0;
  const at = async (place: number, length: number) => {
    reads += 1;
    return read({ start: place, end: Math.min(place + length, byteSize) - 1 });
  };
  const walk = async (from: number, to: number): Promise<void> => {
    for (let place = from; place + 8 <= to && reads < maxReads; ) {
      const head = await at(place, boxHeadBytes);
      const box = readBox(head, place, to);
      if (box === undefined) return;
      if (box.name === 'moov' || box.name === 'trak') await walk(box.body, Math.min(box.end, to));
      if (box.name === 'mvhd') film = { ...film, durationMs: readDuration(await at(box.body, bodyBytes)) };
      if (box.name === 'tkhd') film = { ...film, ...readSize(await at(box.body, bodyBytes)) };
      if (box.name === 'moov') return;
      place = box.end;
    }
  };
  await walk(0, byteSize);
  return film;
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
