import { createWriteStream } from 'node:fs';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Attachment, AttachmentFailure } from '../domain/attachment.js';
import { workFolderName } from './file-steps.js';
import { receivedKey, type Storage } from './storage.js';
import { UnreadableBoxes, withoutPlaces } from './without-places.js';

type Finished = { readonly status: 'READY' } | { readonly status: 'FAILED'; readonly failure: AttachmentFailure };

/**
 * Empties what a film, or a sound made of boxes, says about places, before others see it: its pictures and sounds stay as they
 * are, byte for byte, and so does its length. It FAILS as BROKEN if its boxes cannot be followed. May be repeated, also after it
 * was interrupted anywhere.
 */
export async function finishFilm(
  { storage }: { readonly storage: Storage },
  { id, kind, contentType }: Pick<Attachment, 'id' | 'kind' | 'contentType'>,
  reception: string | null,
): Promise<Finished> {
  const key = receivedKey(id, reception);
  const folder = await mkdtemp(join(tmpdir(), workFolderName));
  try {
    const path = join(folder, 'received');
    const bytes = await storage.read(key);
    if (bytes === null) return broken;
    await pipeline(bytes, createWriteStream(path));
    const file = await open(path, 'r+');
    try {
      const { size } = await file.stat();
      const isChanged = await withoutPlaces(file, size, kind === 'AUDIO' ? 'sound' : 'film');
      if (isChanged) await storage.write(key, path, contentType);
    } finally {
      await file.close();
    }
    return { status: 'READY' };
  } catch (error) {
    if (error instanceof UnreadableBoxes) return broken;
    throw error;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const broken = { status: 'FAILED', failure: 'BROKEN' } as const;
