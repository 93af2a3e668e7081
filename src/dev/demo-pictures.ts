import { fileURLToPath } from 'node:url';
import { Decoder } from '../files/decoder.js';
import { finishPicture } from '../files/file-steps.js';
import { receivedKey, type Storage } from '../files/storage.js';
import type { DemoPicture } from './demo-history.js';

/** The relative path is the same from src/dev and from dist/dev. */
const folder = new URL('../../prisma/demo/', import.meta.url);
const contentType = 'image/jpeg';

/** The rows of a picture. */
interface PictureRows {
  readonly files: readonly object[];
  readonly filesOfMessages: readonly object[];
}

/**
 * Stores the demo's pictures with their thumbnails, as the server does with those of people. Without a storage, their messages
 * have files that are EXPIRED.
 */
export async function storePictures(
  pictures: readonly DemoPicture[],
  storage: Storage | undefined,
): Promise<PictureRows> {
  const decoder = new Decoder();
  try {
    const files = await Promise.all(
      pictures.map(async (picture) => toRow(picture, storage && (await store(picture, { storage, decoder })))),
    );
    const filesOfMessages = pictures.map(({ id, messageId, roomId, seq }) => ({
      ...{ message_id: messageId, position: 1, attachment_id: id },
      ...{ room_id: roomId, seq, kind: 'IMAGE' },
    }));
    return { files, filesOfMessages };
  } finally {
    decoder.close();
  }
}

async function store({ id, file }: DemoPicture, files: { readonly storage: Storage; readonly decoder: Decoder }) {
  await files.storage.write(receivedKey(id, null), fileURLToPath(new URL(file, folder)), contentType);
  const finished = await finishPicture(files, { id, contentType }, null);
  if (finished.status !== 'READY') throw new Error(`The demo's picture ${file} cannot be used`);
  await files.storage.remove(receivedKey(id, null));
  return finished;
}

const toRow = (
  { id, name, roomId, uploaderId, sentAt }: DemoPicture,
  finished: Awaited<ReturnType<typeof store>> | undefined,
) => ({
  ...{
    id,
    room_id: roomId,
    uploader_id: uploaderId,
    purpose: 'MESSAGE',
    name,
    content_type: contentType,
    kind: 'IMAGE',
  },
  ...{ byte_size: finished?.byteSize ?? 0, announced: {}, created_at: sentAt, due_at: null, failure: null },
  ...{ width: finished?.width ?? null, height: finished?.height ?? null, duration_ms: null },
  ...{ thumb_hash: finished?.thumbHash ?? null, status: finished === undefined ? 'EXPIRED' : 'READY' },
  expires_at: finished === undefined ? sentAt : null,
});
