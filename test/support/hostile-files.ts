import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { crc32, deflateSync } from 'node:zlib';
import sharp from 'sharp';
import type { Bytes } from './files.js';
import type { Instance } from './instance.js';

export const file = (name: string, type: string, bytes: Uint8Array): Bytes => ({ name, type, bytes });

const chunk = (name: string, body: Buffer): Buffer => {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(body.length, 0);
  head.write(name, 4, 'latin1');
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(Buffer.concat([head.subarray(4), body])), 0);
  return Buffer.concat([head, body, sum]);
};

export const ints = (...numbers: readonly number[]): Buffer => {
  const bytes = Buffer.alloc(4 * numbers.length);
  numbers.forEach((number, place) => void bytes.writeUInt32BE(number, 4 * place));
  return bytes;
};

const pngStart = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

export interface PngOptions {
  /** What the header says. */
  readonly width: number;
  readonly height: number;
  /** 0 grey, 2 RGB, 6 RGBA. */
  readonly color?: number;
  /** The rows as they are, each with its filter in front. */
  readonly rows: Buffer;
  /** In front of the rows, and behind the end. */
  readonly chunks?: readonly (readonly [name: string, body: Buffer])[];
  readonly rest?: Buffer;
}

export const png = ({ width, height, color = 2, rows, chunks = [], rest = Buffer.alloc(0) }: PngOptions): Buffer =>
  Buffer.concat([
    pngStart,
    chunk('IHDR', Buffer.concat([ints(width, height), Buffer.from([8, color, 0, 0, 0])])),
    ...chunks.map(([name, body]) => chunk(name, body)),
    chunk('IDAT', deflateSync(rows)),
    chunk('IEND', Buffer.alloc(0)),
    rest,
  ]);

/** An animated PNG of two frames. */
export const apng = (side: number): Buffer => {
  const row = (value: number) => Buffer.concat([Buffer.alloc(1), Buffer.alloc(3 * side, value)]);
  const rows = (value: number) => Buffer.concat(Array.from({ length: side }, () => row(value)));
  const control = (order: number) => Buffer.concat([ints(order, side, side, 0, 0), Buffer.from([0, 1, 0, 10, 0, 0])]);
  const frame = Buffer.concat([ints(2), deflateSync(rows(200))]);
  const whole = png({
    width: side,
    height: side,
    rows: rows(50),
    chunks: [
      ['acTL', ints(2, 0)],
      ['fcTL', control(0)],
    ],
  });
  const end = whole.length - 12;
  return Buffer.concat([whole.subarray(0, end), chunk('fcTL', control(1)), chunk('fdAT', frame), whole.subarray(end)]);
};

/** A zip without compression. */
export function zip(entries: Readonly<Record<string, string>>): Buffer {
  const [files, index]: [Buffer[], Buffer[]] = [[], []];
  let place = 0;
  for (const [name, text] of Object.entries(entries)) {
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt32LE(crc32(text), 10);
    common.writeUInt32LE(Buffer.byteLength(text), 14);
    common.writeUInt32LE(Buffer.byteLength(text), 18);
    common.writeUInt16LE(name.length, 22);
    const local = Buffer.concat([Buffer.from('PK\u0003\u0004'), common, Buffer.from(name), Buffer.from(text)]);
    const where = Buffer.alloc(14);
    where.writeUInt32LE(place, 10);
    index.push(Buffer.concat([Buffer.from('PK\u0001\u0002\u0014\u0000'), common, where, Buffer.from(name)]));
    files.push(local);
    place += local.length;
  }
  const end = Buffer.alloc(18);
  end.writeUInt16LE(files.length, 4);
  end.writeUInt16LE(files.length, 6);
  end.writeUInt32LE(Buffer.concat(index).length, 8);
  end.writeUInt32LE(place, 12);
  return Buffer.concat([...files, ...index, Buffer.from('PK\u0005\u0006'), end]);
}

/** A document of Office, with its parts in the order in which Word and LibreOffice write them. */
export const officeDocument = (folder: 'word' | 'xl' | 'ppt', type: string): Buffer =>
  zip({
    '[Content_Types].xml': `<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Override PartName="/${folder}/main.xml" ContentType="application/vnd.openxmlformats-officedocument.${type}.main+xml"/></Types>`,
    '_rels/.rels': '<Relationships/>',
    [`${folder}/main.xml`]: '<x/>',
  });

export const box = (name: string, ...parts: readonly Uint8Array[]): Buffer => {
  const body = Buffer.concat(parts);
  return Buffer.concat([ints(8 + body.length), Buffer.from(name, 'latin1'), body]);
};

/** Where somebody was, as films say it. */
export const place = '+37.5665+126.9780/';

export interface FilmOptions {
  readonly width?: number;
  readonly height?: number;
  readonly ms?: number;
  /** Boxes behind those of `moov`, and of the file. */
  readonly inside?: readonly Buffer[];
  readonly behind?: readonly Buffer[];
}

/** A film as a phone writes it: the bytes first, then what they are; turned by a quarter. */
export function film(
  brand: 'isom' | 'qt  ' | 'M4A ',
  { width = 640, height = 360, ms = 12_345, inside = [], behind = [] }: FilmOptions = {},
): Buffer {
  const matrix = ints(0, 0x10000, 0, 0xffff0000, 0, 0, 0, 0, 0x40000000);
  const head = box('mvhd', ints(0, 0, 0, 1_000, ms), Buffer.alloc(80));
  const sound = box('trak', box('tkhd', ints(7, 0, 0, 1, 0, ms, 0, 0, 0, 0), matrix, ints(0, 0)));
  const picture = box(
    'trak',
    box('tkhd', ints(7, 0, 0, 2, 0, ms, 0, 0, 0, 0), matrix, ints(width << 16, height << 16)),
  );
  return Buffer.concat([
    box('ftyp', Buffer.from(brand), ints(0), Buffer.from(brand)),
    box('mdat', media),
    box('moov', head, sound, picture, ...inside),
    ...behind,
  ]);
}

/** The pictures and sounds of `film`, which begin at `filmMediaAt`. */
export const media = randomBytes(300_000);
export const filmMediaAt = 28;

/** Of QuickTime and of phones: the place in boxes of the older and of the newer form, of XMP and of Android. */
export const placeBoxes = {
  user: box('udta', box('©xyz', Buffer.from([0, place.length, 0x15, 0xc7]), Buffer.from(place)), ints(0)),
  loci: box('udta', box('loci', ints(0), Buffer.from(place))),
  meta: box(
    'meta',
    box('hdlr', ints(0, 0), Buffer.from('mdta'), Buffer.alloc(13)),
    box('keys', ints(0, 1), box('mdta', Buffer.from('com.apple.quicktime.location.ISO6709'))),
    box('ilst', box('\u0000\u0000\u0000\u0001', box('data', ints(1, 0), Buffer.from(place)))),
  ),
  uuid: box('uuid', Buffer.from('be7acfcb97a942e89c71999491e3afac', 'hex'), Buffer.from(`<x:xmpmeta>${place}`)),
  unknown: box('gps ', Buffer.from(place)),
  /** What was left when a program has removed boxes. */
  free: box('free', Buffer.from(place)),
} as const;

/** A track of places over time, as action cameras write it: the samples are in `mdat` at this place of the file. */
export const placeTrack = (at: number, lengths: readonly number[]): Buffer =>
  box(
    'trak',
    box('tkhd', Buffer.alloc(84)),
    box(
      'mdia',
      box('mdhd', Buffer.alloc(24)),
      box('hdlr', ints(0, 0), Buffer.from('meta'), Buffer.alloc(13)),
      box(
        'minf',
        box(
          'stbl',
          box('stsz', ints(0, 0, lengths.length, ...lengths)),
          box('stsc', ints(0, 1, 1, lengths.length, 1)),
          box('stco', ints(0, 1, at)),
        ),
      ),
    ),
  );

/** What a song says about itself in iTunes's form. */
export const songTitles = (...more: readonly Buffer[]): Buffer =>
  box(
    'udta',
    box(
      'meta',
      ints(0),
      box('hdlr', ints(0, 0), Buffer.from('mdir'), Buffer.alloc(13)),
      box('ilst', box('©nam', box('data', ints(1, 0), Buffer.from('아리랑'))), ...more),
    ),
  );

/** A picture of noise, which compresses badly. */
export const noise = (width: number, height: number) =>
  sharp({
    create: { width, height, channels: 3, background: '#888', noise: { type: 'gaussian', mean: 128, sigma: 30 } },
  });

/** An animation of so many frames. */
export const animation = async (format: 'gif' | 'webp', frames: number, side = 40): Promise<Buffer> => {
  const pages = await Promise.all(
    Array.from({ length: frames }, (_, number) =>
      sharp({
        create: {
          width: side,
          height: side,
          channels: 3,
          background: number % 2 ? { r: number, g: 0, b: 0 } : { r: 0, g: 255, b: number },
        },
      })
        .png()
        .toBuffer(),
    ),
  );
  return sharp(pages, { join: { animated: true } })
    [format]({ loop: 0 })
    .toBuffer();
};

/** The processes of an instance that look at bytes of strangers. */
export function decodersOf({ pid }: Pick<Instance, 'pid'>): number[] {
  const found: number[] = [];
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const parent = Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${name}/status`, 'utf8'))?.[1]);
      const isDecoder = parent === pid && readFileSync(`/proc/${name}/cmdline`, 'utf8').includes('decoder-process');
      if (isDecoder) found.push(Number(name));
    } catch {
      // It has ended meanwhile.
    }
  }
  return found;
}

/** In bytes; 0 if there is no such process. */
export function peakOf(pid: number): number {
  try {
    return Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1_024;
  } catch {
    return 0;
  }
}

/** Watches the memory of an instance's decoders until it is stopped. */
export function watchDecoders(instance: Pick<Instance, 'pid'>): { peak: () => number; stop: () => void } {
  let peak = 0;
  const timer = setInterval(() => {
    for (const pid of decodersOf(instance)) peak = Math.max(peak, peakOf(pid));
  }, 25);
  return { peak: () => peak, stop: () => clearInterval(timer) };
}
