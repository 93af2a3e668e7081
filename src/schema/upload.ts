import type { Attachment as AttachmentShape } from '../domain/attachment.js';
import { completeUpload, createUpload, getFileAccess, type Upload } from '../resolvers/files.js';
import { Attachment } from './attachment.js';
import { builder } from './builder.js';

const UploadPurpose = builder.enumType('UploadPurpose', {
  description: 'What a file is for.',
  values: {
    MESSAGE: { description: 'A message of the room.' },
    ROOM_IMAGE: { description: "The room's picture; see updateRoom(imageId:). Admins of a GROUP only." },
  },
});

const HttpHeader = builder.objectRef<{ name: string; value: string }>('HttpHeader').implement({
  description: 'A header of an HTTP request.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'The name, in lower case.' }),
    value: t.exposeString('value', { description: 'The value.' }),
  }),
});

const CreateUploadInput = builder.inputType('CreateUploadInput', {
  description: 'A file to upload.',
  fields: (t) => ({
    id: t.id({ description: 'A UUID made by the client. With it a retry is safe at any time.' }),
    roomId: t.id({ required: true, description: 'The room whose members will read it.' }),
    purpose: t.field({ type: UploadPurpose, defaultValue: 'MESSAGE', description: 'What it is for.' }),
    name: t.string({
      required: true,
      description: 'Its name, 1 to 255 characters; folders in front of it are dropped.',
    }),
    contentType: t.string({
      required: true,
      description: 'Its media type without parameters, such as image/jpeg. The bytes decide what it really is.',
    }),
    byteSize: t.int({
      required: true,
      description: 'Its length in bytes, from 1 to limits.maxFileBytes. Exactly so many are taken.',
    }),
    sha256: t.string({ description: 'The SHA-256 of its bytes in hex. If it is given, other bytes FAIL.' }),
  }),
});

const CompleteUploadInput = builder.inputType('CompleteUploadInput', {
  description: 'A file whose bytes have been sent.',
  fields: (t) => ({ id: t.id({ required: true, description: "One of the viewer's own uploads." }) }),
});

const CreateUploadPayload = builder.objectRef<Upload>('CreateUploadPayload').implement({
  description: 'Where the bytes go, and how.',
  fields: (t) => ({
    attachment: t.expose('attachment', { type: Attachment, description: 'The file as it is now.' }),
    method: t.exposeString('method', { description: 'The method of the HTTP request that brings the bytes.' }),
    url: t.exposeString('url', {
      description: 'Its URL: a path on the server of this API, or an absolute URL of a storage. It needs no token.',
    }),
    headers: t.field({
      type: [HttpHeader],
      complexity: () => ({ field: 1, multiplier: 2 }),
      description: 'Its headers. The body is the bytes alone.',
      resolve: ({ headers }) => Object.entries(headers).map(([name, value]) => ({ name, value })),
    }),
    expiresAt: t.expose('expiresAt', {
      type: 'DateTime',
      description: 'Until when the request may begin. After that, call createUpload again with the same id.',
    }),
  }),
});

const CompleteUploadPayload = builder.objectRef<{ attachment: AttachmentShape }>('CompleteUploadPayload').implement({
  description: 'What the bytes turned out to be.',
  fields: (t) => ({
    attachment: t.expose('attachment', {
      type: Attachment,
      description: 'The file as it is now: PROCESSING, READY or FAILED.',
    }),
  }),
});

const FileAccess = builder.objectRef<{ token: string; expiresAt: Date }>('FileAccess').implement({
  description: 'Lets the viewer read files where no header can be sent, such as in an img element.',
  fields: (t) => ({
    token: t.exposeString('token', {
      description:
        'To be appended to the address of a file as `?access=`. Good for files alone, and the same for an hour, so that browsers can cache.',
    }),
    expiresAt: t.expose('expiresAt', { type: 'DateTime', description: 'Until when it is good: for one to two hours.' }),
  }),
});

builder.mutationFields((t) => ({
  createUpload: t.field({
    type: CreateUploadPayload,
    description:
      'Announces a file and says where its bytes go. The same id again returns the file as it is, with another address: an upload that broke off starts again. With other values it is CONFLICT. A file that no message uses within a day is removed.',
    args: { input: t.arg({ type: CreateUploadInput, required: true, description: 'The file.' }) },
    resolve: (_root, { input }, { deps, viewer }) => createUpload(deps, viewer, input),
  }),
  completeUpload: t.field({
    type: CompleteUploadPayload,
    description:
      'Looks at the bytes that were sent. From now on the file can be sent with a message; bytes that are sent later change nothing. CONFLICT if they are not there yet. Completing twice is not an error.',
    args: { input: t.arg({ type: CompleteUploadInput, required: true, description: 'The file.' }) },
    resolve: (_root, { input }, { deps, viewer }) => completeUpload(deps, viewer, input),
  }),
}));

builder.queryField('fileAccess', (t) =>
  t.field({
    type: FileAccess,
    description:
      'A token for reading files, for clients that cannot send a header. Membership is checked at each reading.',
    resolve: (_root, _args, { deps, viewer }) => getFileAccess(deps, viewer),
  }),
);
