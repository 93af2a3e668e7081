import type { FileHandle } from 'node:fs/promises';
import { type Box, boxHeadBytes, readBox } from './boxes.js';

/** The boxes that stay as they are, and those in which others are looked at. All others are emptied. */
interface Kept {
  readonly [name: string]: 'whole' | Kept;
}

const whole = <Name extends string>(...names: readonly Name[]) =>
  Object.fromEntries(names.map((name) => [name, 'whole'] as const));

const track: Kept = {
  ...whole('tkhd', 'edts', 'tref', 'trgr', 'tapt', 'load', 'matt', 'clip'),
  mdia: whole('mdhd', 'hdlr', 'elng', 'minf'),
};
const movie: Kept = { ...whole('mvhd', 'iods', 'mvex', 'ctab', 'clip', 'prfl', 'pssh'), trak: track };
const fragment: Kept = {
  ...whole('mfhd', 'pssh'),
  traf: whole('tfhd', 'tfdt', 'trun', 'sbgp', 'sgpd', 'subs', 'saiz', 'saio', 'senc'),
};
const outside = whole('ftyp', 'mdat', 'wide', 'styp', 'sidx', 'ssix', 'mfra', 'pdin', 'prft');
/** What players show of a song. */
const titles: Kept = whole(
  ...['©nam', '©ART', 'aART', '©alb', '©wrt', '©gen', 'gnre', '©day', '©lyr', 'trkn', 'disk', 'tmpo', 'cpil', 'pgap'],
  ...['cprt', 'covr', 'rtng', 'stik', 'sonm', 'soar', 'soal'],
);

const kept = {
  film: { ...outside, moov: movie, moof: fragment },
  sound: { ...outside, moov: { ...movie, udta: { meta: { hdlr: 'whole', ilst: titles } } }, moof: fragment },
} as const satisfies Record<string, Kept>;

/** An hour in fragments of a second has 40,000. */
const maxBoxes = 100_000;
/** Of such a track; cameras write one or two in a second. */
const maxChunks = 100_000;
/** Of each table that says where the samples of a track are. */
const maxTableBytes = 8 * 2 ** 20;
const windowBytes = 65_536;
const shortHeadBytes = 8;
const wordBytes = 4;

/** A film whose boxes cannot be followed: what it says about its place is not found. */
export class UnreadableBoxes extends Error {}

/**
 * Empties in place whatever a film or an M4A says beside its pictures and sounds: places, cameras, comments, what nobody knows.
 * The boxes become `free` and keep their length, so that nothing moves; nothing is decoded. Tracks of places over time go as
 * well. A sound keeps its titles. Resolves with whether anything has changed: a second time nothing does. Needs 64 KB of memory,
 * and 24 MB where such a track is found.
 * @throws {UnreadableBoxes} if the boxes contradict each other, are too many, or none says what the film is
 */
export async function withoutPlaces(file: FileHandle, byteSize: number, kind: keyof typeof kept): Promise<boolean> {
  const boxes = new Boxes(file, byteSize);
  await boxes.clean(0, byteSize, kept[kind]);
  if (!boxes.hasMovie) throw new UnreadableBoxes('There is no moov');
  return boxes.isChanged;
}

class Boxes {
  readonly #file: FileHandle;
  readonly #byteSize: number;
  #count = 0;
  #window = { from: 0, bytes: Buffer.alloc(0) };
  hasMovie = false;
  isChanged = false;

  constructor(file: FileHandle, byteSize: number) {
    this.#file = file;
    this.#byteSize = byteSize;
  }

  /** Empties the boxes between these places that are not kept. */
  async clean(from: number, to: number, kept: Kept): Promise<void> {
    const isFile = to === this.#byteSize && from === 0;
    let place = from;
    while (place + shortHeadBytes <= to) {
      const box = await this.#boxAt(place, to);
      // Behind the last box of the file, some cameras have what is none.
      if (box === undefined && isFile) return this.#emptyTail(place, to);
      if (box === undefined) throw new UnreadableBoxes('A box has no length');
      const rule = kept[box.name];
      const isCut = box.end > to;
      // Media may be cut off.
      if (isCut && !(isFile && (box.name === 'mdat' || rule === undefined)))
        throw new UnreadableBoxes('A box is cut off');
      if (isCut && rule === undefined) return this.#emptyTail(place, to);
      if (box.name === 'moov') this.hasMovie = true;
      if (rule === undefined || (await this.#isOfPlaces(box)) || (await this.#isOfOthers(box, rule)))
        await this.#empty(place, box);
      else if (rule !== 'whole') await this.clean(box.body + headOf(box), box.end, rule);
      place = box.end;
    }
    await this.#zero(place, to);
  }

  async #boxAt(place: number, to: number): Promise<Box | undefined> {
    this.#count += 1;
    if (this.#count > maxBoxes) throw new UnreadableBoxes('There are too many boxes');
    return readBox(await this.#read(place, Math.min(boxHeadBytes, to - place)), place, to);
  }

  /** The first box with this name; undefined if there is none. */
  async #find(name: string, { body, end }: Pick<Box, 'body' | 'end'>): Promise<Box | undefined> {
    for (let place = body; place + shortHeadBytes <= end; ) {
      const box = await this.#boxAt(place, end);
      if (box === undefined || box.end > end) return undefined;
      if (box.name === name) return box;
      place = box.end;
    }
    return undefined;
  }

  /** Whether it is a track of metadata over time, as cameras write it (GoPro, camm, mebx): then its samples are emptied. */
  async #isOfPlaces(box: Box): Promise<boolean> {
    if (box.name !== 'trak') return false;
    const media = await this.#find('mdia', box);
    const handler = media && (await this.#find('hdlr', media));
    if (media === undefined || handler === undefined) return false;
    const type = (await this.#read(handler.body + 8, wordBytes)).toString('latin1');
    if (type !== 'meta' && type !== 'camm' && type !== 'gpmd') return false;
    const information = await this.#find('minf', media);
    const tables = information && (await this.#find('stbl', information));
    if (tables !== undefined) await this.#emptySamples(tables);
    return true;
  }

  /** Whether it is the metadata of a sound in another form than that of its titles. */
  async #isOfOthers(box: Box, rule: Kept | 'whole'): Promise<boolean> {
    if (box.name !== 'meta' || rule === 'whole') return false;
    const handler = await this.#find('hdlr', { body: box.body + headOf(box), end: box.end });
    return handler === undefined || (await this.#read(handler.body + 8, wordBytes)).toString('latin1') !== 'mdir';
  }

  async #emptySamples(tables: Box): Promise<void> {
    const [sizes, chunks] = [await this.#table('stsz', tables), await this.#table('stsc', tables)];
    const short = await this.#table('stco', tables);
    const offsets = short ?? (await this.#table('co64', tables));
    if (sizes === undefined || chunks === undefined || offsets === undefined)
      throw new UnreadableBoxes('A track has no tables');
    const [size, samples, count] = [wordAt(sizes, 4), wordAt(sizes, 8), wordAt(offsets, 4)];
    if (count > maxChunks) throw new UnreadableBoxes('A track has too many parts');
    let [sample, entry, bytes] = [0, -1, 0];
    for (let chunk = 0; chunk < count && sample < samples; chunk += 1) {
      if (entry + 1 < wordAt(chunks, 4) && wordAt(chunks, 8 + 12 * (entry + 1)) === chunk + 1) entry += 1;
      const last = Math.min(sample + (entry < 0 ? 0 : wordAt(chunks, 12 + 12 * entry)), samples);
      let length = (last - sample) * size;
      for (; size === 0 && sample < last; sample += 1) length += wordAt(sizes, 12 + wordBytes * sample);
      sample = last;
      const place = short === undefined ? longAt(offsets, 8 + 8 * chunk) : wordAt(offsets, 8 + wordBytes * chunk);
      bytes += length;
      // Nobody makes work of a small file by tables that name the same bytes again and again.
      if (bytes > this.#byteSize) throw new UnreadableBoxes('A track is longer than its file');
      await this.#zero(place, place + length);
    }
  }

  async #table(name: string, tables: Box): Promise<Buffer | undefined> {
    const box = await this.#find(name, tables);
    if (box === undefined) return undefined;
    if (box.end - box.body > maxTableBytes) throw new UnreadableBoxes('A table is too long');
    const bytes = Buffer.alloc(box.end - box.body);
    await this.#file.read(bytes, 0, bytes.length, box.body);
    return bytes;
  }

  async #empty(place: number, box: Box): Promise<void> {
    if (box.name !== 'free') await this.#write(place + wordBytes, Buffer.from('free'));
    await this.#zero(box.body, box.end);
  }

  /** What begins here is no box: it becomes one. */
  async #emptyTail(place: number, to: number): Promise<void> {
    const head = Buffer.from('\0\0\0\0free');
    // A length of 0 is up to the end.
    if (to - place <= 0xffffffff) head.writeUInt32BE(to - place, 0);
    await this.#write(place, head);
    await this.#zero(place + shortHeadBytes, to);
  }

  async #zero(from: number, to: number): Promise<void> {
    const last = Math.min(to, this.#byteSize);
    for (let place = from; place < last; place += windowBytes) {
      await this.#write(place, Buffer.alloc(Math.min(windowBytes, last - place)));
    }
  }

  /** Writes only what is something else. */
  async #write(place: number, bytes: Buffer): Promise<void> {
    const present = Buffer.alloc(bytes.length);
    await this.#file.read(present, 0, present.length, place);
    if (present.equals(bytes)) return;
    await this.#file.write(bytes, 0, bytes.length, place);
    this.isChanged = true;
    this.#window = { from: 0, bytes: Buffer.alloc(0) };
  }

  /** A few bytes, most often of those that were read last. */
  async #read(place: number, length: number): Promise<Buffer> {
    const { from, bytes } = this.#window;
    if (place < from || place + length > from + bytes.length) {
      const next = Buffer.alloc(windowBytes);
      const { bytesRead } = await this.#file.read(next, 0, windowBytes, place);
      this.#window = { from: place, bytes: next.subarray(0, bytesRead) };
    }
    return this.#window.bytes.subarray(place - this.#window.from, place - this.#window.from + length);
  }
}

/** `meta` has its version in front of its boxes. */
const headOf = ({ name }: Box): number => (name === 'meta' ? wordBytes : 0);

function wordAt(table: Buffer, place: number): number {
  if (place + wordBytes > table.length) throw new UnreadableBoxes('A table is cut off');
  return table.readUInt32BE(place);
}

function longAt(table: Buffer, place: number): number {
  if (place + 8 > table.length) throw new UnreadableBoxes('A table is cut off');
  return Number(table.readBigUInt64BE(place));
}
