import { join } from 'node:path';
import { fileTypeFromBuffer } from 'file-type';
import sharp, { type Sharp, type SharpOptions } from 'sharp';
import { rgbaToThumbHash } from 'thumbhash';
import type { AttachmentFailure } from '../domain/attachment.js';
import type { DecoderAnswer, DecoderTask, MadePicture } from './decoder.js';

/*
 * A process of its own that looks at bytes of strangers: it may run out of memory, crash in a decoder or never end, and the
 * server goes on. See `Decoder`, which limits it.
 */

sharp.concurrency(1);
sharp.cache(false);

/** Pictures with more pixels, all frames together, would not fit into the memory of this process. */
const maxPixels = 50_000_000;
/** Longer animations have still thumbnails. */
const maxFrames = 100;
const thumbHashPixels = 100;
const quality = 90;
const thumbnailQuality = 80;

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

async function answer(task: DecoderTask): Promise<DecoderAnswer> {
  try {
    if (task.kind === 'look') return { contentType: await findType(task.bytes) };
    return { picture: await makeVersions(task) };
  } catch (error) {
    if (error instanceof RefusedPicture) return { failure: error.failure };
    return { failure: /pixel limit/.test(String(error)) ? 'TOO_MANY_PIXELS' : 'BROKEN' };
  }
}

/** The type of a file that begins with these bytes; undefined if it is not known. */
async function findType(bytes: Uint8Array): Promise<string | undefined> {
  const found = await fileTypeFromBuffer(bytes);
  if (found !== undefined) return found.mime;
  if (Buffer.from(bytes.subarray(0, 4)).equals(Buffer.from('PK\u0003\u0004'))) return 'application/zip';
  return isText(bytes) ? 'text/plain' : undefined;
}

/** UTF-8 without controls. The last character may be cut off. */
function isText(bytes: Uint8Array): boolean {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: true });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: a text has none of them
    return !/[\u0000-\u0008\u000e-\u001a\u001c-\u001f]/.test(text);
  } catch {
    return false;
  }
}

/** Writes the picture, upright and without metadata, and its thumbnails. */
async function makeVersions({
  path,
  folder,
  contentType,
  pixels,
}: DecoderTask & { kind: 'picture' }): Promise<MadePicture> {
  const input = (options: SharpOptions = {}) =>
    sharp(path, { limitInputPixels: maxPixels, failOn: 'error', sequentialRead: true, ...options });
  const { format, pages = 1, autoOrient, width: rawWidth, height: rawHeight } = await input().metadata();
  if (contentType !== `image/${format}`) throw new RefusedPicture('BROKEN');
  const width = autoOrient?.width ?? rawWidth;
  const height = autoOrient?.height ?? rawHeight;
  if (width * height * pages > maxPixels) throw new RefusedPicture('TOO_MANY_PIXELS');

  const versions: string[] = [];
  const write = async (version: string, picture: Sharp) => {
    await picture.toFile(join(folder, version));
    versions.push(version);
  };
  const animated = pages > 1;
  // A GIF has neither a place nor an orientation, and is kept as it is.
  if (format !== 'gif') {
    const upright = input({ animated }).autoOrient();
    if (format === 'jpeg') await write('original', upright.jpeg({ quality }));
    else await write('original', format === 'png' ? upright.png() : upright.webp({ quality }));
  }
  let source = input({ animated: animated && pages <= maxFrames }).autoOrient();
  // Each smaller one from the one before, which is much faster than from the original.
  for (const [version, side] of pixels) {
    const size = { width: side, height: side, fit: 'inside', withoutEnlargement: true } as const;
    await write(version, source.resize(size).webp({ quality: thumbnailQuality }));
    source = sharp(join(folder, version), { animated: animated && pages <= maxFrames });
  }
  return { width, height, thumbHash: await hash(join(folder, versions.at(-1) ?? '')), versions };
}

async function hash(path: string): Promise<string> {
  const { data, info } = await sharp(path)
    .resize({ width: thumbHashPixels, height: thumbHashPixels, fit: 'inside' })
    .toColorspace('srgb')
    .ensureAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  return Buffer.from(rgbaToThumbHash(info.width, info.height, data)).toString('base64');
}
