import { cursorOfMessage, type PagedMessage } from '../db/messages.js';
import type { Message as MessageShape } from '../domain/message.js';
import { canDelete, canEdit } from '../resolvers/access.js';
import {
  keptUser,
  loadActor,
  loadFirstUnreadMessage,
  loadLastMessage,
  loadReadCount,
  loadReaders,
  loadUnreadMemberCount,
} from '../resolvers/loaders.js';
import {
  assertHistoryArgs,
  defaultAroundSize,
  deleteMessage,
  editMessage,
  getMessage,
  listMessages,
  listMessagesAround,
  parseAround,
  sendMessage,
} from '../resolvers/messages.js';
import { getRoomOf } from '../resolvers/rooms.js';
import { Attachment } from './attachment.js';
import { affordable } from './bill.js';
import { builder } from './builder.js';
import { checked } from './checked.js';
import { toConnection } from './connection.js';
import { findMessageParts } from './message-parts.js';
import { MessageRead } from './message-read.js';
import { Node } from './node.js';
import { ofViewer } from './of-viewer.js';
import { Room, toOneRoom } from './room.js';
import { Selection } from './selection.js';
import { SystemNotice } from './system-notice.js';
import { User } from './user.js';

const MessageType = builder.enumType('MessageType', {
  description: 'The kind of a message.',
  values: {
    TEXT: { description: 'Plain text.' },
    IMAGE: {
      description:
        'Pictures: the attachments, with the content as an optional caption. Without attachments, the content is the https URL of a picture.',
    },
    FILE: { description: 'Files that are not all pictures; the content is an optional caption.' },
    SYSTEM: { description: 'Written by the server; see Message.system.' },
  },
});

/** JSON prints each of these as six characters. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is counted
const controls = /[\u0000-\u001f]/g;

/** The number of UTF-16 units of the text in an answer. */
const printedLength = (text: string): number => text.length + 5 * (text.match(controls)?.length ?? 0);

/** Not a Prisma type: messages come from the feed and from the database, in one shape. */
export const Message = builder.objectRef<PagedMessage>('Message').implement({
  interfaces: [Node],
  description: 'One message of a room, as it is now.',
  fields: (t) => ({
    id: t.exposeID('id', { description: 'A UUID, made by the client or the server; in lower case.' }),
    room: t.field({
      ...ofViewer,
      type: Room,
      description: 'The room of the message.',
      resolve: ({ roomId }, _args, context, info) =>
        getRoomOf(context.deps, context.viewer, roomId, {
          written: context.writtenRooms?.get(roomId),
          request: toOneRoom(context, info),
        }),
    }),
    seq: t.exposeInt('seq', {
      description: "Position in the room's log: grows by exactly one with every entry of any kind.",
    }),
    cursor: t.string({
      description: 'The position in Room.messages: pass it as after or before.',
      resolve: cursorOfMessage,
    }),
    type: t.expose('type', { type: MessageType, description: 'The kind of the message.' }),
    sender: t.field({
      type: User,
      description: 'The author; for SYSTEM, the user who caused it.',
      resolve: ({ type, sender, senderId, roomId }, _args, { deps }) =>
        sender ?? (type === 'SYSTEM' ? loadActor(deps, roomId, senderId) : keptUser(deps, senderId)),
    }),
    senderName: t.exposeString('senderName', { description: "The author's name when the message was sent." }),
    content: t.string({
      nullable: true,
      // Up to 16 KB; other fields have a few bytes.
      complexity: 25,
      description:
        "The text; null once deleted, empty for attachments without a caption. For SYSTEM, a sentence in the server's language.",
      resolve: ({ content }, _args, context) => {
        context.textLength = (context.textLength ?? 0) + printedLength(content ?? '');
        return content;
      },
    }),
    system: t.field({
      type: SystemNotice,
      nullable: true,
      description:
        'The event that a SYSTEM message reports, for clients that write their own sentence; otherwise null.',
      resolve: ({ system, roomId }) => (system === null ? null : { ...system, roomId }),
    }),
    attachments: t.field({
      type: [Attachment],
      // They come with the message, and most have none.
      complexity: () => ({ field: 1, multiplier: 3 }),
      description: 'Its files, in the order to show; at most 10 (limits.maxAttachments). Empty once deleted.',
      resolve: ({ attachments }) => attachments ?? [],
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the message was sent.' }),
    editedAt: t.expose('editedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the message was last edited; null if never.',
    }),
    deletedAt: t.expose('deletedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the message was deleted; null if it is not.',
    }),
    readCount: t.int({
      ...ofViewer,
      description: 'How many other members have read the message.',
      resolve: (message, _args, { deps, viewer }) => loadReadCount(deps, viewer, message),
    }),
    unreadMemberCount: t.int({
      ...ofViewer,
      description:
        'How many members have not read the message. The author does not count, nor do members who joined after it: they see it as history.',
      resolve: (message, _args, { deps, viewer }) => loadUnreadMemberCount(deps, viewer, message),
    }),
    readBy: t.field({
      ...ofViewer,
      type: [MessageRead],
      description: 'The other members who have read the message, the earliest reader first.',
      resolve: (message, _args, context, info) =>
        loadReaders(context.deps, context.viewer, message, affordable(info, context)),
    }),
    viewerCanEdit: t.boolean({
      ...ofViewer,
      description: "Whether the viewer may edit it now: the viewer's own TEXT, unless its room is closed for writing.",
      resolve: (message, _args, { deps, viewer }) => canEdit(deps, viewer, message),
    }),
    viewerCanDelete: t.boolean({
      ...ofViewer,
      description:
        "Whether the viewer may delete it now: the viewer's own messages, and, for an admin of the room, all except SYSTEM.",
      resolve: (message, _args, { deps, viewer }) => canDelete(deps, viewer, message),
    }),
  }),
});

export const MessageEdge = builder.edgeObject({
  type: Message,
  name: 'MessageEdge',
  nodeNullable: false,
  description: 'A message in a page of the history.',
});
const MessageConnection = builder.connectionObject(
  { type: Message, name: 'MessageConnection', edgesNullable: false, description: "A page of a room's history." },
  MessageEdge,
);

builder.objectFields(Room, (t) => ({
  lastMessage: t.field({
    ...ofViewer,
    type: Message,
    nullable: true,
    description: 'The newest message that is not deleted; null if there is none.',
    resolve: (room, _args, { deps, viewer }) => loadLastMessage(deps, viewer, room),
  }),
  firstUnreadMessage: t.field({
    ...ofViewer,
    type: Message,
    nullable: true,
    description:
      'The oldest of the messages that unreadCount counts, where a client draws the line; null if there is none.',
    resolve: (room, _args, { deps, viewer }) => loadFirstUnreadMessage(deps, viewer, room),
  }),
  messages: t.field({
    extensions: { ...ofViewer.extensions, ...checked(assertHistoryArgs).extensions },
    type: MessageConnection,
    description:
      'The history in the order of seq, oldest first. Page back with last and before. A page has at most 100 messages (limits.maxPageSize).',
    args: {
      first: t.arg.int({ description: 'How many, counted from the oldest. Give first or last, not both.' }),
      after: t.arg.string({ description: 'Only messages after this cursor.' }),
      last: t.arg.int({ description: 'How many, counted from the newest.' }),
      before: t.arg.string({ description: 'Only messages before this cursor.' }),
    },
    complexity: ({ first, last }) => ({ field: 1, multiplier: first ?? last ?? 1 }),
    resolve: (room, args, { deps, viewer }, info) =>
      toConnection(
        listMessages(deps, viewer, room, {
          args,
          findParts: () => findMessageParts(Selection.of(info).ofNodes),
        }),
        cursorOfMessage,
      ),
  }),
  messagesAround: t.field({
    extensions: { ...ofViewer.extensions, ...checked(parseAround).extensions },
    type: MessageConnection,
    description:
      'A page of the history with this message in its middle, deleted ones included. Its cursors continue in both directions in messages.',
    args: {
      messageId: t.arg.id({ required: true, description: 'A message of the room.' }),
      count: t.arg.int({
        defaultValue: defaultAroundSize,
        description: 'How many messages, at most 100 (limits.maxPageSize).',
      }),
    },
    complexity: ({ count }) => ({ field: 1, multiplier: count ?? defaultAroundSize }),
    resolve: (room, args, { deps, viewer }, info) =>
      toConnection(
        listMessagesAround(deps, viewer, room, {
          args,
          findParts: () => findMessageParts(Selection.of(info).ofNodes),
        }),
        cursorOfMessage,
      ),
  }),
}));

builder.queryField('message', (t) =>
  t.field({
    type: Message,
    nullable: true,
    description: 'One message. Null if it does not exist or the viewer is not a member of its room.',
    args: { id: t.arg.id({ required: true, description: "The message's UUID." }) },
    resolve: (_root, { id }, { deps, viewer }) => getMessage(deps, viewer, id),
  }),
);

const SendMessageInput = builder.inputType('SendMessageInput', {
  description: 'A message to send.',
  fields: (t) => ({
    id: t.id({
      description: 'A UUID made by the client. With it a retry is safe at any time, over any transport.',
    }),
    roomId: t.id({ required: true, description: 'The room to send to.' }),
    type: t.field({
      type: MessageType,
      defaultValue: 'TEXT',
      description:
        'TEXT, or IMAGE with an absolute https URL as content. With attachmentIds the files decide: IMAGE if all are pictures, else FILE.',
    }),
    content: t.string({
      description:
        'The text: 1 to 4,000 characters (limits.maxContentLength), stored unchanged. Required, except with attachmentIds, where it is a caption.',
    }),
    attachmentIds: t.idList({
      description:
        'Completed uploads of the viewer for this room, in the order to show; 1 to 10. A file belongs to one message for ever.',
    }),
  }),
});

const EditMessageInput = builder.inputType('EditMessageInput', {
  description: 'A new text for a message.',
  fields: (t) => ({
    messageId: t.id({ required: true, description: "One of the viewer's own TEXT messages." }),
    content: t.string({ required: true, description: 'The new text; the rules of sendMessage apply.' }),
    editedAt: t.field({
      type: 'DateTime',
      description:
        'The editedAt of the message that the new text replaces, null if it was never edited. If it has been edited since, this is CONFLICT, unless it has the new text already: a late copy of an edit cannot overwrite a later one. Absent, any state is replaced.',
    }),
  }),
});

const DeleteMessageInput = builder.inputType('DeleteMessageInput', {
  description: 'A message to delete.',
  fields: (t) => ({
    messageId: t.id({
      required: true,
      description: "One of the viewer's own messages; an admin may delete any message in the room.",
    }),
  }),
});

const SendMessagePayload = builder
  .objectRef<{ message: MessageShape; duplicate: boolean }>('SendMessagePayload')
  .implement({
    description: 'The stored message.',
    fields: (t) => ({
      message: t.expose('message', { type: Message, description: 'The message as it is stored.' }),
      duplicate: t.exposeBoolean('duplicate', {
        description: 'True if this id was sent before; message is the one stored then.',
      }),
    }),
  });

const MessagePayload = builder.objectRef<{ message: MessageShape }>('MessagePayload').implement({
  description: 'The message after the change.',
  fields: (t) => ({
    message: t.expose('message', { type: Message, description: 'The message as it is now.' }),
  }),
});

builder.mutationFields((t) => ({
  sendMessage: t.field({
    type: SendMessagePayload,
    description:
      'Sends a message. Returns once the message is on disk, over HTTP and WebSocket alike. The same id with different content, room or author is CONFLICT. While the server delivers messages late, a send waits for up to a second and is then RATE_LIMITED: send it again with the same id.',
    args: { input: t.arg({ type: SendMessageInput, required: true, description: 'The message and its room.' }) },
    resolve: (_root, { input }, { deps, viewer }) => sendMessage(deps, viewer, input),
  }),
  editMessage: t.field({
    type: MessagePayload,
    description:
      "Changes the text of one of the viewer's own messages. Sending the same text again changes nothing. While the server delivers messages late, an edit waits as a send does.",
    args: { input: t.arg({ type: EditMessageInput, required: true, description: 'The message and its new text.' }) },
    resolve: (_root, { input }, { deps, viewer }) => editMessage(deps, viewer, input),
  }),
  deleteMessage: t.field({
    type: MessagePayload,
    description:
      'Deletes a message for everyone and erases its text. Only its author and room admins may do this. Deleting twice is not an error.',
    args: { input: t.arg({ type: DeleteMessageInput, required: true, description: 'The message.' }) },
    resolve: (_root, { input }, { deps, viewer }) => deleteMessage(deps, viewer, input),
  }),
}));
