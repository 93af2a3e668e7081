/** The chunks of a picture that decide how it looks. All others are dropped: places, times, cameras, comments, what nobody knows. */
const kept = {
  png: new Set([
    ...['IHDR', 'PLTE', 'IDAT', 'IEND', 'tRNS', 'cHRM', 'gAMA', 'iCCP', 'sBIT', 'sRGB', 'cICP', 'bKGD', 'pHYs'],
    ...['acTL', 'fcTL', 'fdAT'],
  ]),
  webp: new Set(['VP8X', 'VP8 ', 'VP8L', 'ALPH', 'ANIM', 'ANMF', 'ICCP']),
} as const;

const pngStart = 8;
/** The length, the name and the checksum. */
const pngFrame = 12;
const webpStart = 12;
/** The name and the length. */
const webpFrame = 8;
/** The header and the size of a GIF; tables of colours follow. */
const gifStart = 13;
/** Of an image of a GIF. */
const gifFrame = 10;
const gifBlocks = { extension: 0x21, image: 0x2c } as const;
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
    if (kept.png.has(name)) parts.push(bytes.subarray(place, end));
    if (name === 'IEND') break;
    place = end;
  }
  return parts;
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
  let place = gifStart + coloursAt(bytes, gifStart - 3);
  const parts = [bytes.subarray(0, place)];
  let control: Buffer | undefined;
  let images = 0;
  while (place < bytes.length) {
    const [kind, label] = [bytes[place], bytes[place + 1]];
    const isImage = kind === gifBlocks.image;
    if (!isImage && kind !== gifBlocks.extension) break;
    // The size of the code of an image is a byte in front of its parts.
    const body = isImage ? place + gifFrame + coloursAt(bytes, place + gifFrame - 1) + 1 : place + 2;
    const end = endOfParts(bytes, body);
    if (end === undefined) break;
    const block = bytes.subarray(place, end);
    place = end;
    if (isImage) {
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
