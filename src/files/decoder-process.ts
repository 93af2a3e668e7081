import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileTypeFromBuffer } from 'file-type';
import sharp, { type SharpOptions } from 'sharp';
import { rgbaToThumbHash } from 'thumbhash';
import { type AttachmentFailure, maxAnimatedPixels, maxFrames, maxPicturePixels } from '../domain/attachment.js';
import type { DecoderAnswer, DecoderTask, MadePicture } from './decoder.js';
import { kindOf, usualName } from './file-types.js';
import { type GifCanvas, readGifCanvas } from './gif.js';
import { type PictureSize, readPictureSize } from './picture-size.js';
import { withoutMetadata } from './without-metadata.js';

/*
 * A process of its own that looks at bytes of strangers: it may run out of memory, crash in a decoder or never end, and the
 * server goes on. See `Decoder`, which limits it.
 */

sharp.concurrency(1);
sharp.cache(false);

const thumbHashPixels = 100;
const quality = 90;
const thumbnailQuality = 80;

type PictureTask = DecoderTask & { readonly kind: 'picture' };

/** A picture that cannot be used. */
class RefusedPicture extends Error {
  constructor(readonly failure: AttachmentFailure) {
    super(failure);
  }
}

process.on('message', async (task: DecoderTask) => {
  process.send?.(await answer(task));
});
process.on('disconnect', () => process.exit());
// A signal to the whole group of processes ends the server, which may wait for this work.
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => undefined);

async function answer(task: DecoderTask): Promise<DecoderAnswer> {
  try {
    if (task.kind === 'look') return await look(task.bytes);
    return { picture: await makeVersions(task) };
  } catch (error) {
    if (error instanceof RefusedPicture) return { failure: error.failure };
    return { failure: /pixel limit/.test(String(error)) ? 'TOO_MANY_PIXELS' : 'BROKEN' };
  }
}

/** The type of a file that begins so and, of a picture that may be decoded, the size as its header says. */
async function look(bytes: Uint8Array): Promise<DecoderAnswer> {
  const contentType = await findType(bytes);
  if (contentType === undefined || kindOf(usualName(contentType)) !== 'IMAGE') return { contentType };
  const size = await readPictureSize(bytes, contentType);
  const isUsable =
    size !== undefined && size.width > 0 && size.height > 0 && size.width * size.height <= maxPicturePixels;
  return isUsable ? { contentType, size } : { contentType };
}

/** The type of a file that begins with these bytes; undefined if it is not known. */
async function findType(bytes: Uint8Array): Promise<string | undefined> {
  // Its mark looks like the beginning of an MP3.
  if (utf16[markOf(bytes)] !== undefined && isText(bytes)) return 'text/plain';
  const found = await fileTypeFromBuffer(bytes);
  if (found !== undefined) return found.mime;
  if (Buffer.from(bytes.subarray(0, 4)).equals(Buffer.from('PK\u0003\u0004'))) return 'application/zip';
  return isText(bytes) ? 'text/plain' : undefined;
}

const utf16: Readonly<Record<string, string>> = { feff: 'utf-16be', fffe: 'utf-16le' };
const markOf = (bytes: Uint8Array): string => Buffer.from(bytes.subarray(0, 2)).toString('hex');

/** Without controls, in UTF-8, in UTF-16 with its mark, or in EUC-KR as Korean spreadsheets save it. */
function isText(bytes: Uint8Array): boolean {
  const encoding = utf16[markOf(bytes)];
  return (encoding === undefined ? ['utf-8', 'euc-kr'] : [encoding]).some((one) => isTextIn(one, bytes));
}

/** The last character may be cut off. */
function isTextIn(encoding: string, bytes: Uint8Array): boolean {
  try {
    const text = new TextDecoder(encoding, { fatal: true }).decode(bytes, { stream: true });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: a text has none of them
    return !/[\u0000-\u0008\u000e-\u001a\u001c-\u001f]/.test(text);
  } catch {
    return false;
  }
}

/** Writes the picture, upright and without metadata, and its thumbnails. */
async function makeVersions({ path, folder, contentType, pixels }: PictureTask): Promise<MadePicture> {
  const input = (options: SharpOptions = {}) =>
    sharp(path, { limitInputPixels: maxPicturePixels, failOn: 'error', sequentialRead: true, ...options });
  const {
    format,
    pages = 1,
    orientation = 1,
    autoOrient,
    width: rawWidth,
    height: rawHeight,
  } = await input().metadata();
  if (contentType !== `image/${format}` || !isKnown(format)) throw new RefusedPicture('BROKEN');
  const width = autoOrient?.width ?? rawWidth;
  const height = autoOrient?.height ?? rawHeight;
  if (width * height > maxPicturePixels) throw new RefusedPicture('TOO_MANY_PIXELS');

  if (format === 'gif') assertShowable(readGifCanvas(await readFile(path)), { width, height });

  const versions: string[] = [];
  const animated = pages > 1 && pages <= maxFrames && width * height * pages <= maxAnimatedPixels;
  const encoding = { quality: thumbnailQuality, ...(animated ? { effort: 0 } : {}) };
  let source = input({ animated }).autoOrient();
  let last: string | undefined;
  // Each smaller one from the one before, which is much faster than from the original.
  for (const [version, side] of pixels) {
    const target = join(folder, version);
    // A picture that is smaller than both would be the same once more.
    if (last !== undefined && Math.max(width, height) <= side) await copyFile(last, target);
    else {
      const size = { width: side, height: side, fit: 'inside', withoutEnlargement: true } as const;
      await source.resize(size).webp(encoding).toFile(target);
      source = sharp(target, { animated });
    }
    last = target;
    versions.push(version);
  }
  // The thumbnails have decoded it: what is copied now is a picture. A GIF has no orientation.
  const original = join(folder, 'original');
  const upright = () => input({ animated: pages > 1 }).autoOrient();
  // Optimal coding would hold the whole picture in memory once more.
  if (format === 'jpeg') await upright().jpeg({ quality, optimizeCoding: false }).toFile(original);
  else if (format === 'png' && orientation > 1) await upright().png().toFile(original);
  else if (format === 'webp' && orientation > 1) await upright().webp({ quality, effort: 0 }).toFile(original);
  else await writeFile(original, withoutMetadata(await readFile(path), format));
  versions.push('original');
  return { width, height, thumbHash: await hash(last ?? path), versions };
}

/** A reader may make more of a GIF than the decoder does. */
function assertShowable({ width, height, reach }: GifCanvas, decoded: PictureSize): void {
  if (reach.width * reach.height > maxPicturePixels) throw new RefusedPicture('TOO_MANY_PIXELS');
  if (decoded.width < width || decoded.height < height) throw new RefusedPicture('BROKEN');
}

const isKnown = (format: string): format is 'jpeg' | 'png' | 'webp' | 'gif' =>
  ['jpeg', 'png', 'webp', 'gif'].includes(format);

async function hash(path: string): Promise<string> {
  const { data, info } = await sharp(path)
    .resize({ width: thumbHashPixels, height: thumbHashPixels, fit: 'inside' })
    .toColorspace('srgb')
    .ensureAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  return Buffer.from(rgbaToThumbHash(info.width, info.height, data)).toString('base64');
}
