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
/** Bits of `VP8X` that announce chunks which are dropped. */
const exifAndXmp = 0b1100;

/**
 * The picture with the same pixels, byte for byte, and without metadata, as the parts of a file. What follows behind its end is
 * dropped as well.
 * @param bytes - a picture that was decoded; they are changed
 */
export const withoutMetadata = (bytes: Buffer, format: 'png' | 'webp'): Buffer[] =>
  format === 'png' ? pngWithout(bytes) : webpWithout(bytes);

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
