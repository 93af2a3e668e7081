import { inflateSync } from 'node:zlib';
import { gifBlocks, gifHead } from './gif.js';

/** The chunks of a picture that decide how it looks. All others are dropped: places, times, cameras, comments, what nobody knows. */
const kept = {
  png: new Set([
    ...['IHDR', 'PLTE', 'IDAT', 'IEND', 'tRNS', 'cHRM', 'gAMA', 'iCCP', 'sBIT', 'sRGB', 'cICP', 'bKGD', 'pHYs'],
    ...['acTL', 'fcTL', 'fdAT'],
  ]),
  webp: new Set(['VP8X', 'VP8 ', 'VP8L', 'ALPH', 'ANIM', 'ANMF', 'ICCP']),
} as const;

/** The largest profiles of printers have 4 MB. */
const maxProfileBytes = 8 * 2 ** 20;
const pngStart = 8;
/** The length, the name and the checksum. */
const pngFrame = 12;
const webpStart = 12;
/** The name and the length. */
const webpFrame = 8;
const gifExtensions = { control: 0xf9, application: 0xff, text: 0x01 } as const;
/** The applications that say how often an animation runs, and the colour profile. */
const gifApplications: ReadonlySet<string> = new Set(['NETSCAPE2.0', 'ANIMEXTS1.0', 'ICCRGBG1012']);
const gifEnd = Buffer.from(';');
/** Bits of `VP8X` that announce chunks which are dropped. */
const exifAndXmp = 0b1100;

/**
 * The picture with the same pixels, byte for byte, and without metadata, as the parts of a file. What follows behind its end is
 * dropped as well. An animation keeps how often it runs.
 * @param bytes - a picture that was decoded; they are changed
 */
export function withoutMetadata(bytes: Buffer, format: 'png' | 'webp' | 'gif'): Buffer[] {
  if (format === 'png') return pngWithout(bytes);
  return format === 'webp' ? webpWithout(bytes) : gifWithout(bytes);
}

function pngWithout(bytes: Buffer): Buffer[] {
  const parts = [bytes.subarray(0, pngStart)];
  for (let place = pngStart; place + pngFrame <= bytes.length; ) {
    const name = bytes.toString('latin1', place + 4, place + 8);
    const end = place + pngFrame + bytes.readUInt32BE(place);
    const isKept = name === 'iCCP' ? isSmallProfile(bytes.subarray(place + 8, end - 4)) : kept.png.has(name);
    if (isKept) parts.push(bytes.subarray(place, end));
    if (name === 'IEND') break;
    place = end;
  }
  return parts;
}

/** A profile is compressed behind its name: a small one could become gigabytes where it is read. */
function isSmallProfile(chunk: Buffer): boolean {
  try {
    const data = chunk.subarray(chunk.indexOf(0) + 2);
    return inflateSync(data, { maxOutputLength: maxProfileBytes }).length > 0;
  } catch {
    return false;
  }
}

function webpWithout(bytes: Buffer): Buffer[] {
  const parts = [bytes.subarray(0, webpStart)];
  const whole = Math.min(bytes.length, webpFrame + bytes.readUInt32LE(4));
  for (let place = webpStart; place + webpFrame <= whole; ) {
    const name = bytes.toString('latin1', place, place + 4);
    const size = bytes.readUInt32LE(place + 4);
    // Chunks have an even length.
    const end = place + webpFrame + size + (size % 2);
    if (name === 'VP8X') bytes.writeUInt8(bytes.readUInt8(place + webpFrame) & ~exifAndXmp, place + webpFrame);
    if (kept.webp.has(name)) parts.push(bytes.subarray(place, end));
    place = end;
  }
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  bytes.writeUInt32LE(length - webpFrame, 4);
  return parts;
}

/** A part that is cut off is dropped, with all behind it. @throws if no image is left */
function gifWithout(bytes: Buffer): Buffer[] {
  const parts = [gifHead(bytes)];
  let control: Buffer | undefined;
  let images = 0;
  for (const { kind, label, bytes: block } of gifBlocks(bytes)) {
    if (kind === 'image') {
      parts.push(...(control === undefined ? [] : [control]), block);
      control = undefined;
      images += 1;
    } else if (label === gifExtensions.control) control = block;
    // It belonged to this text.
    else if (label === gifExtensions.text) control = undefined;
    else if (label === gifExtensions.application && gifApplications.has(block.toString('latin1', 3, 14)))
      parts.push(block);
  }
  if (images === 0) throw new Error('The GIF has no whole image');
  return [...parts, gifEnd];
}
