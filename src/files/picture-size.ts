import sharp from 'sharp';
import { readGifCanvas } from './gif.js';

export interface PictureSize {
  /** In pixels, with the orientation applied. */
  readonly width: number;
  readonly height: number;
}

const riffHead = 12;
/** The name and the length of a chunk of WebP. */
const chunkHead = 8;
const exifBit = 0b1000;

/**
 * What the header of a picture says, without decoding its pixels: the header may lie. Undefined if it is not among these first
 * bytes, or if the orientation may stand behind them.
 */
export async function readPictureSize(bytes: Uint8Array, contentType: string): Promise<PictureSize | undefined> {
  if (contentType === 'image/webp') {
    const size = readWebp(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    // libvips reads a WebP only if it has all of it, and its orientation.
    if (size !== 'unknown') return size;
  }
  if (contentType === 'image/gif') return bytes.length < 10 ? undefined : gifSize(bytes);
  try {
    const { width, height, autoOrient } = await sharp(bytes, { limitInputPixels: false, failOn: 'none' }).metadata();
    return { width: autoOrient?.width ?? width, height: autoOrient?.height ?? height };
  } catch {
    return undefined;
  }
}

/** libvips reads the size of the first image where the screen is large. */
function gifSize(bytes: Uint8Array): PictureSize {
  const { width, height } = readGifCanvas(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  return { width, height };
}

/** The size of a WebP without Exif; `unknown` if it has some, or is none. */
function readWebp(bytes: Buffer): PictureSize | 'unknown' {
  if (bytes.length < 30) return 'unknown';
  const body = riffHead + chunkHead;
  switch (bytes.toString('latin1', riffHead, riffHead + 4)) {
    case 'VP8X':
      if ((bytes.readUInt8(body) & exifBit) !== 0) return 'unknown';
      return { width: bytes.readUIntLE(body + 4, 3) + 1, height: bytes.readUIntLE(body + 7, 3) + 1 };
    case 'VP8L': {
      const bits = bytes.readUInt32LE(body + 1);
      return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 };
    }
    case 'VP8 ':
      return { width: bytes.readUInt16LE(body + 6) & 0x3fff, height: bytes.readUInt16LE(body + 8) & 0x3fff };
    default:
      return 'unknown';
  }
}
