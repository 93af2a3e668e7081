import { mark, objectOf, oneOf, orNull, position, text, uuid, type ValueOf } from './shape.js';

export const attachmentKinds = ['IMAGE', 'VIDEO', 'AUDIO', 'FILE'] as const;
export type AttachmentKind = (typeof attachmentKinds)[number];

/** An attachment only moves forward through these; FAILED and EXPIRED are ends. */
export const attachmentStatuses = ['PENDING', 'PROCESSING', 'READY', 'FAILED', 'EXPIRED'] as const;
export type AttachmentStatus = (typeof attachmentStatuses)[number];

export const attachmentFailures = [
  'TYPE_NOT_ALLOWED',
  'TOO_LARGE',
  'TOO_MANY_PIXELS',
  'BROKEN',
  'CHECKSUM',
  'INFECTED',
] as const;
export type AttachmentFailure = (typeof attachmentFailures)[number];

export const uploadPurposes = ['MESSAGE', 'ROOM_IMAGE'] as const;
export type UploadPurpose = (typeof uploadPurposes)[number];

/** The maximum number of attachments of a message. */
export const maxAttachments = 10;

/** The largest picture that fits into the memory and time of its decoder: 24 megapixels of a phone need 150 MB and 2 s. */
export const maxPicturePixels = 25_000_000;

/** Longer animations, and those with more pixels in all frames together, have still thumbnails. */
export const maxFrames = 100;
export const maxAnimatedPixels = 13_000_000;

/** Pictures and films that an instance works on at a time. Users take turns. */
export const maxFilesAtOnce = 2;

/** Of one user, on one instance, where clients send the bytes to the server: each holds a connection and a file for long. */
export const maxUploadsAtOnce = 8;

/** An attachment as everybody sees it, in the same form in messages, events and published bodies. */
export const attachment = objectOf({
  id: uuid,
  name: text,
  kind: oneOf(attachmentKinds),
  /** As the bytes say once they are there, and as the uploader says before. */
  contentType: text,
  byteSize: mark,
  /** Pixels, with the orientation applied. */
  width: orNull(position),
  height: orNull(position),
  durationMs: orNull(mark),
  /** In base64. */
  thumbHash: orNull(text),
  status: oneOf(attachmentStatuses),
  failure: orNull(oneOf(attachmentFailures)),
  /** A time in ISO 8601, as text because a message stores its attachments as JSON. */
  expiresAt: orNull(text),
});
export type Attachment = ValueOf<typeof attachment>;

/** The widest sides of the thumbnails, in pixels. */
export const thumbnailPixels = { SMALL: 320, MEDIUM: 960, LARGE: 1_600 } as const;
export type ThumbnailSize = keyof typeof thumbnailPixels;

/** The versions of a file that can be read. */
export const fileVersions = ['original', 'small', 'medium', 'large'] as const;
export type FileVersion = (typeof fileVersions)[number];

/** The address of a file, the same for every viewer: whoever reads it must be a member of its room at that moment. */
export const pathOfFile = (id: string, version: FileVersion): string => `/files/${id}/${version}`;

/** Whether the bytes can be read now. */
export const isReadable = (
  { status }: Pick<Attachment, 'status'>,
  { byUploader }: { readonly byUploader: boolean },
): boolean => status === 'READY' || (byUploader && status === 'PROCESSING');
