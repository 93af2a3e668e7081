import { cursorOfFile, type RoomFile } from '../db/attachments.js';
import type { Page } from '../domain/page.js';
import { assertFilesArgs, defaultFilesSize, listFiles } from '../resolvers/files.js';
import { Attachment, AttachmentKind } from './attachment.js';
import { builder } from './builder.js';
import { checked } from './checked.js';
import { Message } from './message.js';
import { ofViewer } from './of-viewer.js';
import { Room } from './room.js';

const AttachmentEdge = builder.edgeObject({
  type: Attachment,
  name: 'AttachmentEdge',
  nodeNullable: false,
  description: "A file in a page of a room's files.",
  fields: (t) => ({
    message: t.field({
      type: Message,
      description: 'The message that brought the file.',
      // The connection's nodes are the attachments of these.
      resolve: (edge) => (edge as unknown as { readonly file: RoomFile }).file.message,
    }),
  }),
});

const AttachmentConnection = builder.connectionObject(
  { type: Attachment, name: 'AttachmentConnection', edgesNullable: false, description: "A page of a room's files." },
  AttachmentEdge,
);

builder.objectField(Room, 'attachments', (t) =>
  t.field({
    extensions: { ...ofViewer.extensions, ...checked(assertFilesArgs).extensions },
    type: AttachmentConnection,
    description:
      'All files of the messages in the room, the newest message first. Files of deleted messages are left out.',
    args: {
      first: t.arg.int({ defaultValue: defaultFilesSize, description: 'How many, at most 100 (limits.maxPageSize).' }),
      after: t.arg.string({ description: 'Only files after this cursor.' }),
      kind: t.arg({ type: AttachmentKind, description: 'Only files of this kind, such as all pictures.' }),
    },
    complexity: ({ first }) => ({ field: 1, multiplier: first ?? defaultFilesSize }),
    resolve: (room, args, { deps, viewer }) => listFiles(deps, viewer, room, args).then(toFileConnection),
  }),
);

function toFileConnection({ rows, hasNextPage, hasPreviousPage }: Page<RoomFile>) {
  const edges = rows.map((file) => ({ cursor: cursorOfFile(file), node: file.attachment, file }));
  const [startCursor, endCursor] = [edges[0]?.cursor ?? null, edges.at(-1)?.cursor ?? null];
  return { edges, pageInfo: { hasNextPage, hasPreviousPage, startCursor, endCursor } };
}
