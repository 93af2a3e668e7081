import type { AttachmentKind } from '../domain/attachment.js';

/**
 * `Content-Disposition` (RFC 6266): media is shown, everything else is saved, under the name that it was sent with.
 * @param name - has no controls and no characters that change the direction of text
 */
export function dispositionOf(name: string, kind: AttachmentKind): string {
  const type = kind === 'FILE' ? 'attachment' : 'inline';
  const ascii = name.replace(/[^\x20-\x7e]|["\\%/]/g, '_');
  const encoded = encodeURIComponent(name.normalize('NFC')).replace(
    /['()*]/g,
    (one) => `%${one.charCodeAt(0).toString(16)}`,
  );
  return `${type}; filename="${ascii}"; filename*=UTF-8''${encoded}`;
}
