import { createHash, randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdtemp, opendir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { type Attachment, type AttachmentFailure, type AttachmentKind, thumbnailPixels } from '../domain/attachment.js';
import type { Decoder } from './decoder.js';
import { kindOf, usualName } from './file-types.js';
import { readFilm } from './film.js';
import { type ReadBytes, readSoundMs } from './sound.js';
import { type ByteRange, filePrefix, incomingKey, receivedKey, type Storage, versionKey } from './storage.js';

/** The type is decided by this many bytes at the beginning. */
const sampleBytes = 262_144;
const versions = (['LARGE', 'MEDIUM', 'SMALL'] as const).map(
  (size) => [size.toLowerCase(), thumbnailPixels[size]] as const,
);

/** What the bytes of a file are. */
export interface Look {
  readonly kind: AttachmentKind;
  readonly contentType: string;
  readonly byteSize: number;
  /** Of a film, where they are known. */
  readonly width: number | null;
  readonly height: number | null;
  readonly durationMs: number | null;
  readonly failure: AttachmentFailure | null;
}

export interface Terms {
  readonly maxFileBytes: number;
  readonly fileTypes: readonly string[];
}

/** A copy of what a client has written, and what it is. It counts if the file's row gets its reception. */
export interface Received {
  /** The part of its key that makes it the only one. */
  readonly reception: string;
  readonly look: Look;
}

type FileTools = { readonly storage: Storage; readonly decoder: Decoder };

/**
 * Takes what a client has written out of its reach and looks at what it is; null if nothing has been written. May be repeated,
 * also at the same time: each call makes a copy of its own, so that no storage can exchange bytes that were looked at.
 */
export async function receiveFile(
  files: FileTools,
  id: string,
  announced: { readonly byteSize: number; readonly sha256: string | null },
  terms: Terms,
): Promise<Received | null> {
  // A storage that hangs shows it here: a copy may take long.
  if ((await files.storage.sizeOf(incomingKey(id))) === null) return null;
  const reception = randomUUID();
  const key = receivedKey(id, reception);
  try {
    if (!(await files.storage.copy(incomingKey(id), key))) return null;
    return { reception, look: await lookAt(files, key, announced, terms) };
  } catch (error) {
    dropReception(files.storage, id, reception);
    throw error;
  }
}

/** Removes a copy that does not count. If this fails, the sweep does it. */
export const dropReception = (storage: Storage, id: string, reception: string): void =>
  void storage.remove(receivedKey(id, reception)).catch(() => undefined);

async function lookAt(
  { storage, decoder }: FileTools,
  key: string,
  announced: { readonly byteSize: number; readonly sha256: string | null },
  { maxFileBytes, fileTypes }: Terms,
): Promise<Look> {
  const byteSize = await storage.sizeOf(key);
  if (byteSize === null) throw new Error(`The storage has lost ${key} at once`);
  const sample = await readBytes(storage, key, { start: 0, end: Math.min(byteSize, sampleBytes) - 1 });
  const answer = await decoder.run({ kind: 'look', bytes: sample });
  const found = 'contentType' in answer ? answer.contentType : undefined;
  const contentType = usualName(found ?? 'application/octet-stream');
  const kind = kindOf(contentType);
  const facts = await readFacts(contentType, byteSize, (range) => readBytes(storage, key, range));
  const size = 'size' in answer ? answer.size : undefined;
  const look = { kind, contentType, byteSize, ...facts, ...size };
  if (byteSize > maxFileBytes) return { ...look, failure: 'TOO_LARGE' };
  if (byteSize !== announced.byteSize) return { ...look, failure: 'CHECKSUM' };
  if ('failure' in answer) return { ...look, failure: answer.failure };
  if (!fileTypes.includes(contentType)) return { ...look, failure: 'TYPE_NOT_ALLOWED' };
  if (announced.sha256 !== null && (await digestOf(storage, key)) !== announced.sha256) {
    return { ...look, failure: 'CHECKSUM' };
  }
  return { ...look, failure: null };
}

/** The length of a film or sound and the size of a film, where its headers say them. */
async function readFacts(contentType: string, byteSize: number, read: ReadBytes) {
  const unknown = { width: null, height: null, durationMs: null };
  if (kindOf(contentType) === 'VIDEO') return readFilm(byteSize, read);
  if (contentType === 'audio/mp4') return { ...unknown, durationMs: (await readFilm(byteSize, read)).durationMs };
  return { ...unknown, durationMs: await readSoundMs(contentType, byteSize, read) };
}

async function readBytes(storage: Storage, key: string, range: ByteRange): Promise<Buffer> {
  const stream = range.end < range.start ? null : await storage.read(key, range);
  const chunks: Buffer[] = [];
  for await (const chunk of stream ?? []) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

async function digestOf(storage: Storage, key: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of (await storage.read(key)) ?? []) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

/** The facts of a finished picture, or the reason why it is none. */
export type Finished =
  | ({ readonly status: 'READY' } & Pick<Attachment, 'byteSize' | 'width' | 'height' | 'thumbHash'>)
  | { readonly status: 'FAILED'; readonly failure: AttachmentFailure };

/**
 * Makes what others may see of a picture: upright and without metadata, and its thumbnails. May be repeated, also after it was
 * interrupted anywhere.
 */
export async function finishPicture(
  { storage, decoder }: FileTools,
  { id, contentType }: Pick<Attachment, 'id' | 'contentType'>,
  reception: string | null,
): Promise<Finished> {
  const folder = await mkdtemp(join(tmpdir(), workFolderName));
  try {
    const path = join(folder, 'received');
    const bytes = await storage.read(receivedKey(id, reception));
    if (bytes === null) return { status: 'FAILED', failure: 'BROKEN' };
    await pipeline(bytes, createWriteStream(path));
    const answer = await decoder.run({ kind: 'picture', path, contentType, folder, pixels: versions });
    if (!('picture' in answer)) {
      return { status: 'FAILED', failure: 'failure' in answer ? answer.failure : 'BROKEN' };
    }
    const { picture } = answer;
    const original = picture.versions.includes('original') ? join(folder, 'original') : path;
    for (const version of picture.versions) {
      if (version !== 'original') await storage.write(versionKey(id, version), join(folder, version), 'image/webp');
    }
    await storage.write(versionKey(id, 'original'), original, contentType);
    const { width, height, thumbHash } = picture;
    return { status: 'READY', byteSize: (await stat(original)).size, width, height, thumbHash };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Of the folders in which files are worked on; what follows is random. */
export const workFolderName = 'fairway-picture-';
/** Far longer than the work on a picture takes. */
const abandonedMs = 3_600_000;

/** Removes the folders of work that was cut off on this machine: they have pictures as they were uploaded. */
export async function removeAbandoned(): Promise<void> {
  for await (const { name } of await opendir(tmpdir())) {
    if (!name.startsWith(workFolderName)) continue;
    const path = join(tmpdir(), name);
    const found = await stat(path).catch(() => undefined);
    if (found !== undefined && Date.now() - found.mtimeMs > abandonedMs)
      await rm(path, { recursive: true, force: true });
  }
}

/** Erases every byte of a file. */
export async function eraseFile(storage: Storage, id: string): Promise<void> {
  await storage.removeAll(filePrefix(id));
  await storage.remove(incomingKey(id));
}
