import type { ByteRange } from './storage.js';

/** Reads a part of a file; fewer bytes at its end. */
export type ReadBytes = (range: ByteRange) => Promise<Buffer>;

const maxDurationMs = 2 ** 31 - 1;
const headBytes = 65_536;

/**
 * How long a sound is, in milliseconds, as its headers say, with a few reads of 64 KB at most; null where they do not say it.
 * Never fails for what the bytes are.
 */
export async function readSoundMs(contentType: string, byteSize: number, read: ReadBytes): Promise<number | null> {
  const find = readers[contentType];
  if (find === undefined) return null;
  const at = (place: number, length: number) =>
    read({ start: Math.max(place, 0), end: Math.min(place + length, byteSize) - 1 });
  const ms = Math.round((await find(at, byteSize)) * 1_000);
  return Number.isFinite(ms) && ms > 0 && ms <= maxDurationMs ? ms : null;
}

type ReadAt = (place: number, length: number) => Promise<Buffer>;

/** In seconds; NaN if it is not known. */
const readers: Readonly<Record<string, (at: ReadAt, byteSize: number) => Promise<number>>> = {
  'audio/mpeg': readMp3,
  'audio/wav': readWav,
  'audio/ogg': readOgg,
  'audio/flac': readFlac,
};

const id3Head = 10;
const id3Bytes = 128;
/** The tables of layer III, by version (2.5, none, 2, 1) and then by the number in the header. */
const rates: readonly (readonly number[])[] = [
  [11_025, 12_000, 8_000],
  [],
  [22_050, 24_000, 16_000],
  [44_100, 48_000, 32_000],
];
const kilobits = {
  version1: [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
  others: [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
} as const;

/** By the number of frames in the first one (Xing, Info, VBRI), or by the rate of a file that has one rate. */
async function readMp3(at: ReadAt, byteSize: number): Promise<number> {
  const tag = await at(0, id3Head);
  const start = tag.toString('latin1', 0, 3) === 'ID3' && tag.length === id3Head ? id3Head + lengthOfTag(tag) : 0;
  const head = await at(start, headBytes);
  const place = findFrame(head);
  if (place === undefined) return Number.NaN;
  const { version, samples, rate, bitsPerSecond, isMono } = frameAt(head, place) as Mp3Frame;
  const side = version === 3 ? (isMono ? 17 : 32) : isMono ? 9 : 17;
  const count = countFrames(head, place + 4 + side) ?? countFrames(head, place + 36);
  if (count !== undefined) return (count * samples) / rate;
  const end = await at(byteSize - id3Bytes, id3Bytes);
  const last = end.toString('latin1', 0, 3) === 'TAG' ? id3Bytes : 0;
  return ((byteSize - start - place - last) * 8) / bitsPerSecond;
}

/** Seven bits in each byte. */
const lengthOfTag = (tag: Buffer): number =>
  [6, 7, 8, 9].reduce((sum, place) => sum * 128 + (tag.readUInt8(place) & 0x7f), 0);

interface Mp3Frame {
  readonly version: number;
  readonly samples: number;
  readonly rate: number;
  readonly bitsPerSecond: number;
  readonly isMono: boolean;
  readonly length: number;
}

/** A frame of layer III; undefined if none begins here. */
function frameAt(bytes: Buffer, place: number): Mp3Frame | undefined {
  if (place + 4 > bytes.length) return undefined;
  const bits = bytes.readUInt32BE(place);
  const [version, layer] = [(bits >>> 19) & 3, (bits >>> 17) & 3];
  const rate = rates[version]?.[(bits >>> 10) & 3];
  const kbps = kilobits[version === 3 ? 'version1' : 'others'][(bits >>> 12) & 15];
  if (bits >>> 21 !== 0x7ff || layer !== 1 || rate === undefined || !kbps) return undefined;
  const samples = version === 3 ? 1_152 : 576;
  const length = Math.floor((samples / 8) * ((kbps * 1_000) / rate)) + ((bits >>> 9) & 1);
  return { version, samples, rate, bitsPerSecond: kbps * 1_000, isMono: ((bits >>> 6) & 3) === 3, length };
}

/** A frame behind which another one begins: the same bits are also among the bytes of a picture. */
function findFrame(bytes: Buffer): number | undefined {
  for (let place = bytes.indexOf(0xff); place !== -1; place = bytes.indexOf(0xff, place + 1)) {
    const frame = frameAt(bytes, place);
    const next = frame && frameAt(bytes, place + frame.length);
    if (next?.rate === frame?.rate && next !== undefined) return place;
  }
  return undefined;
}

function countFrames(head: Buffer, place: number): number | undefined {
  if (place + 18 > head.length) return undefined;
  const name = head.toString('latin1', place, place + 4);
  if (name === 'VBRI') return head.readUInt32BE(place + 14);
  const hasCount = (name === 'Xing' || name === 'Info') && (head.readUInt32BE(place + 4) & 1) === 1;
  return hasCount ? head.readUInt32BE(place + 8) : undefined;
}

const maxChunks = 64;
const riffHead = 12;
const chunkHead = 8;

async function readWav(at: ReadAt, byteSize: number): Promise<number> {
  let bytesPerSecond = Number.NaN;
  for (let [place, count] = [riffHead, 0]; place + chunkHead <= byteSize && count < maxChunks; count += 1) {
    const head = await at(place, chunkHead + 16);
    if (head.length < chunkHead) break;
    const [name, length] = [head.toString('latin1', 0, 4), head.readUInt32LE(4)];
    if (name === 'fmt ' && head.length === chunkHead + 16) bytesPerSecond = head.readUInt32LE(chunkHead + 8);
    // What writes as it records says a length of nothing, or the largest one.
    const rest = byteSize - place - chunkHead;
    if (name === 'data') return (length === 0 ? rest : Math.min(length, rest)) / bytesPerSecond;
    place += chunkHead + length + (length % 2);
  }
  return Number.NaN;
}

const opusRate = 48_000;

/** By the position of the last page; that of another stream in the same file is not looked for. */
async function readOgg(at: ReadAt, byteSize: number): Promise<number> {
  const [head, tail] = [await at(0, headBytes), await at(byteSize - headBytes, headBytes)];
  const last = tail.lastIndexOf('OggS', undefined, 'latin1');
  if (last === -1 || last + 14 > tail.length) return Number.NaN;
  const position = Number(tail.readBigInt64LE(last + 6));
  const opus = head.indexOf('OpusHead', 0, 'latin1');
  if (opus !== -1 && opus + 12 <= head.length) return (position - head.readUInt16LE(opus + 10)) / opusRate;
  const vorbis = head.indexOf('\u0001vorbis', 0, 'latin1');
  return vorbis === -1 || vorbis + 16 > head.length ? Number.NaN : position / head.readUInt32LE(vorbis + 12);
}

async function readFlac(at: ReadAt): Promise<number> {
  const head = await at(0, 26);
  if (head.length < 26 || head.toString('latin1', 0, 4) !== 'fLaC' || (head.readUInt8(4) & 0x7f) !== 0)
    return Number.NaN;
  // 20 bits of the rate, 3 of channels, 5 of bits in a sample, 36 of the number of samples.
  const rate = head.readUIntBE(18, 3) >>> 4;
  return ((head.readUInt8(21) & 15) * 2 ** 32 + head.readUInt32BE(22)) / rate;
}
