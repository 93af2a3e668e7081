import type {
  Attachment as AttachmentShape,
  AttachmentFailure as Failure,
  AttachmentKind as Kind,
  AttachmentStatus as Status,
  ThumbnailSize,
} from '../domain/attachment.js';
import { addressOfFile, addressOfThumbnail } from '../resolvers/files.js';
import { builder } from './builder.js';
import { Node } from './node.js';

export const AttachmentKind = builder.enumType('AttachmentKind', {
  description: 'How a file is shown.',
  values: {
    IMAGE: { description: 'A picture, with thumbnails.' },
    VIDEO: { description: 'A film that browsers may play.' },
    AUDIO: { description: 'Sound that browsers may play.' },
    FILE: { description: 'Anything else: shown with its name and size, and saved when it is opened.' },
  } satisfies Record<Kind, object>,
});

const AttachmentStatus = builder.enumType('AttachmentStatus', {
  description: 'How far a file has come. It only moves forward.',
  values: {
    PENDING: { description: 'Its bytes are missing.' },
    PROCESSING: {
      description:
        'It is being looked at, or freed of the place where it was taken, and shown without thumbnails. Only its uploader can read it.',
    },
    READY: { description: 'The members of the room can read it.' },
    FAILED: { description: 'It cannot be used; see failure.' },
    EXPIRED: {
      description: 'Its bytes are erased: it was kept long enough, its message was deleted, or no message used it.',
    },
  } satisfies Record<Status, object>,
});

const AttachmentFailure = builder.enumType('AttachmentFailure', {
  description: 'Why a file FAILED.',
  values: {
    TYPE_NOT_ALLOWED: {
      description: 'The server does not accept files of this type; limits.fileTypes has those that it does.',
    },
    TOO_LARGE: { description: 'It has more bytes than limits.maxFileBytes.' },
    TOO_MANY_PIXELS: {
      description:
        'It is a picture of more than limits.maxPicturePixels, or one that needs more than 200 MB or 3 s of a core: then the client may send a smaller one.',
    },
    BROKEN: {
      description: 'It is damaged, or not what it seems to be; or a film whose parts cannot be followed.',
    },
    CHECKSUM: { description: 'The bytes are not those that createUpload announced.' },
    INFECTED: { description: "The platform's virus scanner has refused it." },
  } satisfies Record<Failure, object>,
});

const ThumbnailSizeType = builder.enumType('ThumbnailSize', {
  description: 'The widest side of a thumbnail; a picture is never enlarged.',
  values: {
    SMALL: { description: '320 pixels.' },
    MEDIUM: { description: '960 pixels.' },
    LARGE: { description: '1,600 pixels.' },
  } satisfies Record<ThumbnailSize, object>,
});

/** Not a Prisma type: attachments come with their messages, from the feed and from the database. */
export const Attachment = builder.objectRef<AttachmentShape>('Attachment').implement({
  interfaces: [Node],
  description: 'A file of a message or of a room, as it is now.',
  fields: (t) => ({
    id: t.exposeID('id', { description: 'A UUID, made by the client or the server; in lower case.' }),
    name: t.exposeString('name', { description: 'The name, in one line. To be shown, never to be used as a path.' }),
    kind: t.expose('kind', { type: AttachmentKind, description: 'How it is shown.' }),
    contentType: t.exposeString('contentType', {
      description: 'The media type, as the bytes say. While PENDING, as the uploader says.',
    }),
    byteSize: t.exposeInt('byteSize', { description: 'The length of the file at url, in bytes.' }),
    width: t.exposeInt('width', {
      nullable: true,
      description:
        'In pixels, with the orientation applied; null if it is neither a picture nor a film, still PENDING, or not known. Of a picture that is PROCESSING, it is what the header says, so that its space can be kept free; of one that is READY, it is as it was decoded.',
    }),
    height: t.exposeInt('height', { nullable: true, description: 'In pixels, like width.' }),
    durationMs: t.exposeInt('durationMs', {
      nullable: true,
      description: 'Of video and audio, where their headers say it; in milliseconds. Null while PENDING.',
    }),
    thumbHash: t.exposeString('thumbHash', {
      nullable: true,
      description:
        'A ThumbHash in base64: what to show until the thumbnail is there. Null if it is no picture, or not READY yet.',
    }),
    status: t.expose('status', { type: AttachmentStatus, description: 'How far it has come.' }),
    failure: t.expose('failure', {
      type: AttachmentFailure,
      nullable: true,
      description: 'Why it FAILED; otherwise null.',
    }),
    url: t.string({
      nullable: true,
      description:
        'Where its bytes are: a path on the server of this API, or an absolute URL. It answers members of the room once READY, before that its uploader only, and anybody else with 404. Null while PENDING, and if there is nothing to read any more. The same for every viewer.',
      resolve: (attachment, _args, { deps }) => addressOfFile(deps, attachment),
    }),
    thumbnailUrl: t.string({
      nullable: true,
      description:
        'Where a smaller picture (WebP) is; null if it is no picture, or not READY. An animation of up to 100 frames moves. Like url otherwise.',
      args: {
        size: t.arg({ type: ThumbnailSizeType, defaultValue: 'MEDIUM', description: 'The widest side.' }),
      },
      resolve: (attachment, { size }, { deps }) => addressOfThumbnail(deps, attachment, size ?? 'MEDIUM'),
    }),
    expiresAt: t.field({
      type: 'DateTime',
      nullable: true,
      description:
        'When its bytes are erased, or were; null if the server keeps them without an end, or no message uses it yet.',
      resolve: ({ expiresAt }) => (expiresAt === null ? null : new Date(expiresAt)),
    }),
  }),
});
