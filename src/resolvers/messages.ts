import { v7 as uuidv7 } from 'uuid';
import {
  assertMessageCursor,
  cursorOfMessage,
  findMessage,
  locatePage,
  type MessagePart,
  type Omissions,
  type PagedMessage,
  pageAround,
  pageMessages,
} from '../db/messages.js';
import {
  announce,
  appendFiles,
  appendMessage,
  editMessage as edit,
  deleteMessage as erase,
  type LogWrite,
  type Writer,
} from '../db/room-log.js';
import type { Room } from '../db/rooms.js';
import { introduceAuthor } from '../db/users.js';
import { maxAttachments } from '../domain/attachment.js';
import { assertImageUrl, assertText } from '../domain/content.js';
import { ChatError } from '../domain/errors.js';
import { isUuid, parseUuid } from '../domain/ids.js';
import type { Message, MessageType } from '../domain/message.js';
import { type Page, type PageArgs, type PageRequest, parsePageArgs } from '../domain/page.js';
import type { Reader, Viewer } from '../domain/viewer.js';
import { assertAllowed, assertMayAppend, assertMayChange, assertMaySend, refusalOf } from './access.js';
import type { Deps, Limits } from './deps.js';

export interface SendMessageInput {
  readonly id?: string | null | undefined;
  readonly roomId: string;
  readonly type?: MessageType | null | undefined;
  readonly content?: string | null | undefined;
  /** Of completed uploads, in the order to show. */
  readonly attachmentIds?: readonly string[] | null | undefined;
}

/**
 * Resolves once the message is on disk. Sending the same id again returns the stored message, at any time.
 * @param name - the author's name, as a backend mentions it
 * @throws {ChatError} RATE_LIMITED also while messages are delivered late; whether this one is a repeated one is not looked
 * up before, because statements are what such a time lacks
 */
export async function sendMessage(
  deps: Deps,
  viewer: Viewer,
  input: SendMessageInput,
  name: string | null = null,
): Promise<{ message: Message; duplicate: boolean }> {
  const { db, feeds, sendGate, typing, names, limits } = deps;
  const id = input.id == null ? uuidv7() : parseUuid(input.id, 'id');
  const roomId = parseUuid(input.roomId, 'roomId');
  const attachmentIds = parseAttachmentIds(input.attachmentIds);
  const { type, content } = parseContent(input, limits.maxContentLength, attachmentIds !== null);
  await sendGate.enter(viewer.userId);
  await assertMaySend(deps, viewer);
  // Before the write, because the message stores the name.
  if (name !== null) {
    const author = { userId: viewer.userId, userName: name };
    names.announce(await introduceAuthor(db, author, { id, roomId, isByMember: true }));
  }

  const sent = { id, roomId, senderId: viewer.userId, content };
  const written =
    attachmentIds === null
      ? await appendMessage(db, { ...sent, type })
      : await db.changes.change(
          `room ${roomId}`,
          (writes) => appendFiles({ writes }, { ...sent, attachmentIds, retentionMs: limits.fileRetentionMs }),
          { user: viewer.userId, onHeldUp: deps.onHeldUp },
        );
  assertAllowed(written.outcome);

  const message = stored(written);
  feeds.publish(written.entries);
  typing.end(roomId, viewer.userId, message.seq);
  return { message, duplicate: written.outcome === 'DUPLICATE' };
}

/** Writes a SYSTEM message of the platform; the sender need not be a member. The same id again returns the stored one. */
export async function announceMessage(
  { db, feeds, sendGate, names, limits }: Deps,
  viewer: Viewer,
  input: { id: string; roomId: string; content: string },
  name: string | null = null,
): Promise<{ message: Message; duplicate: boolean }> {
  const id = parseUuid(input.id, 'id');
  const roomId = parseUuid(input.roomId, 'roomId');
  assertText(input.content, 'content', limits.maxContentLength);
  await sendGate.enter(viewer.userId);
  if (name !== null) {
    const author = { userId: viewer.userId, userName: name };
    names.announce(await introduceAuthor(db, author, { id, roomId, isByMember: false }));
  }

  const written = await db.changes.change(`room ${roomId}`, (writes) =>
    announce({ writes }, { id, roomId, senderId: viewer.userId, content: input.content }),
  );
  assertAllowed(written.outcome);

  feeds.publish(written.entries);
  return { message: stored(written), duplicate: written.outcome === 'DUPLICATE' };
}

export async function editMessage(
  deps: Deps,
  viewer: Viewer,
  { messageId, content, editedAt }: { messageId: string; content: string; editedAt?: Date | null | undefined },
): Promise<{ message: Message }> {
  const { feeds, limits } = deps;
  const id = parseUuid(messageId, 'messageId');
  assertText(content, 'content', limits.maxContentLength);
  await assertMayAppend(deps, viewer);

  const written = await changeMessage(deps, viewer, id, (db) => edit(db, id, viewer.userId, content, editedAt));
  assertAllowed(written.outcome);

  feeds.publish(written.entries);
  return { message: stored(written) };
}

export async function deleteMessage(
  deps: Deps,
  viewer: Viewer,
  { messageId }: { messageId: string },
): Promise<{ message: Message }> {
  const id = parseUuid(messageId, 'messageId');
  await assertMayChange(deps, viewer);

  const written = await changeMessage(deps, viewer, id, (db) => erase(db, id, viewer.userId));
  assertAllowed(written.outcome);

  deps.feeds.publish(written.entries);
  return { message: stored(written) };
}

/** Runs in the turn of the room, since it takes the room's lock: for a locked room only one change waits on a connection. */
async function changeMessage(
  deps: Deps,
  viewer: Viewer,
  id: string,
  change: (db: Writer) => Promise<LogWrite>,
): Promise<LogWrite> {
  const roomId = await findRoomOfMessage(deps, id);
  const what = roomId === null ? `message ${id}` : `room ${roomId}`;
  return deps.db.changes.change(what, (writes) => change({ writes }), {
    user: viewer.userId,
    onHeldUp: deps.onHeldUp,
  });
}

/** For this long after sending, the sender's name in the message counts as current. */
const nameHoldsMs = 1_000;

/** Adds the author to a new message, which saves a query for each event. */
export function nameAuthor({ db }: Deps, message: Message): PagedMessage {
  const { senderId: id, senderName: name, createdAt } = message;
  // A message with a future date was sent before the clock was set back.
  return Math.abs(db.now() - createdAt.getTime()) < nameHoldsMs ? { ...message, sender: { id, name } } : message;
}

/** Null also for an invalid id. */
export const findRoomOfMessage = async ({ batches }: Deps, id: string): Promise<string | null> =>
  isUuid(id) ? batches.roomsOfMessages.load(id) : null;

export const getMessage = ({ db }: Deps, viewer: Viewer, id: string): Promise<Message | null> =>
  findMessage(db, parseUuid(id, 'id'), viewer.userId);

/** The requested page of a room's history. */
export interface HistoryArgs {
  readonly args: PageArgs;
  /** Called only if the page is loaded. */
  readonly findParts?: () => readonly MessagePart[];
}

/** Checks everything that does not depend on the room. @throws {ChatError} BAD_USER_INPUT */
export function assertHistoryArgs(args: PageArgs, { maxPageSize }: Limits): void {
  const { after, before } = parsePageArgs(args, maxPageSize);
  for (const cursor of [after, before]) if (cursor !== undefined) assertMessageCursor(cursor);
}

/** @throws {ChatError} BAD_USER_INPUT if the arguments are invalid */
export const parseHistoryPage = (args: PageArgs, { maxPageSize }: Limits, roomId: string): PageRequest<number> =>
  locatePage(parsePageArgs(args, maxPageSize), roomId);

/**
 * A page of a room's history. If it was not loaded with the room, the query checks the membership again: the viewer may have
 * left the room since it was loaded.
 */
export async function listMessages(
  { db, limits }: Deps,
  viewer: Reader,
  { id, preloaded }: Pick<Room, 'id' | 'preloaded'>,
  { args, findParts, omissions }: HistoryArgs & { readonly omissions?: Omissions },
): Promise<Page<PagedMessage>> {
  const page = parseHistoryPage(args, limits, id);
  if (preloaded?.history !== undefined && isSamePage(preloaded.history.request, page)) return preloaded.history.page;
  return pageMessages(db, id, viewer.userId, { page, parts: findParts?.(), omissions });
}

/** One document can ask for several pages of the same room. */
const isSamePage = (a: PageRequest<number>, b: PageRequest<number>): boolean =>
  a.count === b.count && a.backward === b.backward && a.after === b.after && a.before === b.before;

/** A message, and how many messages to return with it in the middle. */
export interface AroundArgs {
  readonly messageId: string;
  readonly count?: number | null | undefined;
}

export const defaultAroundSize = 50;

/** @throws {ChatError} BAD_USER_INPUT if the arguments are invalid */
export function parseAround({ messageId, count }: AroundArgs, { maxPageSize }: Limits) {
  const size = count ?? defaultAroundSize;
  if (size < 1 || size > maxPageSize) throw new ChatError('BAD_USER_INPUT', `count must be from 1 to ${maxPageSize}`);
  const older = Math.floor(size / 2);
  return { messageId: parseUuid(messageId, 'messageId'), older, newer: size - older - 1 };
}

/**
 * The message with those around it.
 * @throws {ChatError} BAD_USER_INPUT if it is not a message of this room, or the viewer is not a member any more
 */
export async function listMessagesAround(
  { db, limits }: Deps,
  viewer: Viewer,
  { id }: Pick<Room, 'id'>,
  { args, findParts }: { readonly args: AroundArgs; readonly findParts: () => readonly MessagePart[] },
): Promise<Page<PagedMessage>> {
  const page = await pageAround(db, id, viewer.userId, { ...parseAround(args, limits), parts: findParts() });
  if (page === null) throw refusalOf('FOREIGN_MESSAGE');
  return page;
}

/** The cursor of a message, for callers who page by message ids. */
export async function getMessageCursor({ db }: Deps, viewer: Reader, roomId: string, id: string): Promise<string> {
  const message = await findMessage(db, parseUuid(id, 'cursor'), viewer.userId);
  if (message?.roomId !== roomId) throw new ChatError('BAD_USER_INPUT', 'cursor is not a message of this room');
  return cursorOfMessage(message);
}

function parseContent({ type, content }: SendMessageInput, maxLength: number, isOfFiles: boolean) {
  if (type === 'SYSTEM') throw new ChatError('BAD_USER_INPUT', 'SYSTEM messages are written by the server');
  if (isOfFiles) {
    // The caption of files may be absent, and the database decides which type they make.
    if (content != null && content !== '') assertText(content, 'content', maxLength);
    return { type: 'TEXT', content: content ?? '' } as const;
  }
  if (type === 'FILE') throw new ChatError('BAD_USER_INPUT', 'attachmentIds are missing: a FILE message has files');
  if (content == null) throw new ChatError('BAD_USER_INPUT', 'content is missing');
  assertText(content, 'content', maxLength);
  if (type === 'IMAGE') assertImageUrl(content);
  return { type: type ?? 'TEXT', content };
}

function parseAttachmentIds(ids: readonly string[] | null | undefined): readonly string[] | null {
  if (ids == null) return null;
  const parsed = ids.map((id) => parseUuid(id, 'attachmentIds'));
  if (parsed.length < 1 || parsed.length > maxAttachments || new Set(parsed).size < parsed.length) {
    throw new ChatError('BAD_USER_INPUT', `attachmentIds must be 1 to ${maxAttachments} different files`);
  }
  return parsed;
}

function stored({ message, outcome }: LogWrite): Message {
  if (message === null) throw new Error(`The room log returned ${outcome} without a message`);
  return message;
}
