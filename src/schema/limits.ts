import { maxAttachments, maxPicturePixels, maxUploadsAtOnce } from '../domain/attachment.js';
import { typingExpiresInMs } from '../domain/typing.js';
import type { Limits as LimitsShape } from '../resolvers/deps.js';
import { builder } from './builder.js';

const Limits = builder.objectRef<LimitsShape>('Limits').implement({
  description: 'The limits of this server, so that clients need no constants of their own.',
  fields: (t) => ({
    maxContentLength: t.exposeInt('maxContentLength', {
      description: 'The maximum length of a message, in code points.',
    }),
    maxRoomMembers: t.exposeInt('maxRoomMembers', { description: 'The maximum number of members of one room.' }),
    maxPageSize: t.exposeInt('maxPageSize', { description: 'The maximum value of first and last.' }),
    typingExpiresInMs: t.int({
      description: 'A typing signal expires after this time; repeat it earlier.',
      resolve: () => typingExpiresInMs,
    }),
    maxWatchedUsers: t.exposeInt('maxWatchedUsers', {
      description: 'The maximum number of users in one presence subscription.',
    }),
    maxSubscriptionsPerSocket: t.exposeInt('maxSubscriptionsPerSocket', {
      description: 'The maximum number of open subscriptions of one WebSocket; the next one is RATE_LIMITED.',
    }),
    maxSocketsPerUser: t.exposeInt('maxSocketsPerUser', {
      description:
        'The maximum number of open WebSockets and HTTP streams of a user on one server instance, all devices together.',
    }),
    maxFileBytes: t.int({
      description: 'The maximum length of a file in bytes; 0 if this server takes no files.',
      resolve: ({ maxFileBytes }, _args, { deps }) => (deps.files === null ? 0 : maxFileBytes),
    }),
    maxAttachments: t.int({
      description: 'The maximum number of files of one message.',
      resolve: () => maxAttachments,
    }),
    maxPicturePixels: t.int({
      description: 'The maximum number of pixels of a picture, width times height; a larger one FAILS.',
      resolve: () => maxPicturePixels,
    }),
    maxUploadsAtOnce: t.int({
      description:
        'How many files a user may be sending to one server instance at once; the next one is answered with 429. Not limited where their addresses are those of a storage.',
      resolve: () => maxUploadsAtOnce,
    }),
    fileTypes: t.stringList({
      complexity: () => 1,
      description: 'The media types of the files that this server takes, as their bytes say; empty if it takes none.',
      resolve: ({ fileTypes }, _args, { deps }) => (deps.files === null ? [] : [...fileTypes]),
    }),
    fileBytesPerDay: t.exposeInt('fileBytesPerDay', {
      description: 'How many bytes of files a user may announce in a day; beyond it, createUpload is RATE_LIMITED.',
    }),
    filesPerMinute: t.exposeInt('filesPerMinute', {
      description: 'How many files a user may announce in a minute; beyond it, createUpload is RATE_LIMITED.',
    }),
    maxPendingFiles: t.exposeInt('maxPendingFiles', {
      description:
        'How many files of a user may be announced and not completed; beyond it, createUpload is RATE_LIMITED. A file that is never completed counts for a day.',
    }),
    sendsPerMinute: t.exposeInt('sendsPerMinute', {
      description: 'How many messages a user may send in a minute; beyond it, sendMessage is RATE_LIMITED.',
    }),
  }),
});

builder.queryField('limits', (t) =>
  t.field({
    type: Limits,
    description: 'The limits of this server.',
    resolve: (_root, _args, { deps }) => deps.limits,
  }),
);
