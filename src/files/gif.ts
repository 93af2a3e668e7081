export interface GifCanvas {
  /** In pixels: the screen that the header announces. */
  readonly width: number;
  readonly height: number;
  /** The largest width and height that a reader may make of the screen and all its images. */
  readonly reach: { readonly width: number; readonly height: number };
}

export interface GifBlock {
  readonly kind: 'image' | 'extension';
  /** Of an extension. */
  readonly label: number;
  readonly bytes: Buffer;
}

/** The header and the size of a GIF; tables of colours follow. */
const start = 13;
/** Of an image. */
const frame = 10;
const kinds = { extension: 0x21, image: 0x2c } as const;

/** The header with the table of colours. */
export const gifHead = (bytes: Buffer): Buffer => bytes.subarray(0, start + coloursAt(bytes, start - 3));

/** What follows the header. A block that is cut off is left out, with all behind it. */
export function* gifBlocks(bytes: Buffer): Generator<GifBlock> {
  for (let place = gifHead(bytes).length; place < bytes.length; ) {
    const isImage = bytes[place] === kinds.image;
    if (!isImage && bytes[place] !== kinds.extension) return;
    // The size of the code of an image is a byte in front of its parts.
    const body = isImage ? place + frame + coloursAt(bytes, place + frame - 1) + 1 : place + 2;
    const end = endOfParts(bytes, body);
    if (end === undefined) return;
    const kind = isImage ? 'image' : 'extension';
    yield { kind, label: bytes[place + 1] ?? 0, bytes: bytes.subarray(place, end) };
    place = end;
  }
}

/** The size as clients show it, and how large it may become. @param bytes - the whole file, or its beginning for the size alone */
export function readGifCanvas(bytes: Buffer): GifCanvas {
  const [width, height] = [bytes.readUInt16LE(6), bytes.readUInt16LE(8)];
  const reach = { width, height };
  for (const { kind, bytes: block } of gifBlocks(bytes)) {
    if (kind !== 'image') continue;
    reach.width = Math.max(reach.width, block.readUInt16LE(1) + block.readUInt16LE(5));
    reach.height = Math.max(reach.height, block.readUInt16LE(3) + block.readUInt16LE(7));
  }
  return { width, height, reach };
}

/** The length of the table of colours that this byte announces. */
function coloursAt(bytes: Buffer, place: number): number {
  const flags = bytes[place] ?? 0;
  return flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0;
}

/** Where the parts that begin here end: each has its length in front, the last one has none. */
function endOfParts(bytes: Buffer, from: number): number | undefined {
  for (let place = from; place < bytes.length; ) {
    const length = bytes[place] ?? 0;
    place += 1 + length;
    if (length === 0) return place;
  }
  return undefined;
}
