import type { AttachmentKind } from '../domain/attachment.js';

/** The types that a server accepts unless its operator names others: as the bytes say, never the name or a header. */
export const usualFileTypes = [
  ...['image/jpeg', 'image/png', 'image/gif', 'image/webp'],
  ...['application/pdf', 'application/zip', 'application/x-cfb', 'text/plain'],
  'application/vnd.openxmlformats-officedocument.wordprocessingml.document',
  'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
  'application/vnd.openxmlformats-officedocument.presentationml.presentation',
  ...['application/vnd.oasis.opendocument.text', 'application/vnd.oasis.opendocument.spreadsheet'],
  'application/vnd.oasis.opendocument.presentation',
  ...['audio/mpeg', 'audio/mp4', 'audio/aac', 'audio/ogg', 'audio/wav', 'audio/flac', 'audio/webm'],
  ...['video/mp4', 'video/quicktime', 'video/webm'],
] as const;

/** The pictures that the decoder reads. All other types are never shown as pictures. */
const pictures: ReadonlySet<string> = new Set(['image/jpeg', 'image/png', 'image/gif', 'image/webp']);

/** The kind of a file of this type: it decides how clients show it. */
export function kindOf(contentType: string): AttachmentKind {
  if (pictures.has(contentType)) return 'IMAGE';
  if (contentType.startsWith('video/')) return 'VIDEO';
  return contentType.startsWith('audio/') ? 'AUDIO' : 'FILE';
}

/** Different names of the same type. */
const synonyms: Readonly<Record<string, string>> = {
  'audio/x-m4a': 'audio/mp4',
  'audio/vnd.wave': 'audio/wav',
  'audio/x-flac': 'audio/flac',
  'audio/ogg; codecs=opus': 'audio/ogg',
  'video/x-m4v': 'video/mp4',
  'image/apng': 'image/png',
  // Text, however it calls itself: nobody executes it.
  'application/xml': 'text/plain',
  'application/rtf': 'text/plain',
};

export const usualName = (contentType: string): string => synonyms[contentType] ?? contentType;
