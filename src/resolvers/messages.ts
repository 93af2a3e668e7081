import { v7 as uuidv7 } from 'uuid';
import {
  assertMessageCursor,
  cursorOfMessage,
  findMessage,
  locatePage,
  type MessagePart,
  type Omissions,
  type PagedMessage,
  pageMessages,
} from '../db/messages.js';
import {
  announce,
  appendMessage,
  editMessage as edit,
  deleteMessage as erase,
  type LogWrite,
  type Writer,
} from '../db/room-log.js';
import type { Room } from '../db/rooms.js';
import { assertImageUrl, assertText } from '../domain/content.js';
import { ChatError } from '../domain/errors.js';
import { isUuid, parseUuid } from '../domain/ids.js';
import type { Message, MessageType } from '../domain/message.js';
import { type Page, type PageArgs, type PageRequest, parsePageArgs } from '../domain/page.js';
import type { Onlooker, Viewer } from '../domain/viewer.js';
import { assertAllowed, assertMayChange, assertMaySend } from './access.js';
import type { Deps, Limits } from './deps.js';

export interface SendMessageInput {
  readonly id?: string | null | undefined;
  readonly roomId: string;
  readonly type?: MessageType | null | undefined;
  readonly content?: string | null | undefined;
}

/** Resolves once the message is on disk. The same id again gives the stored message, for ever. */
export async function sendMessage(
  deps: Deps,
  viewer: Viewer,
  input: SendMessageInput,
): Promise<{ message: Message; duplicate: boolean }> {
  const { db, feeds, typing, limits } = deps;
  const id = input.id == null ? uuidv7() : parseUuid(input.id, 'id');
  const roomId = parseUuid(input.roomId, 'roomId');
  const { type, content } = parseContent(input, limits.maxContentLength);
  await assertMaySend(deps, viewer);

  const written = await appendMessage(db, { id, roomId, senderId: viewer.userId, type, content });
  assertAllowed(written.outcome);

  const message = stored(written);
  feeds.publish(written.entries);
  typing.end(roomId, viewer.userId, message.seq);
  return { message, duplicate: written.outcome === 'DUPLICATE' };
}

/** The platform tells a room something, in the name of a user who need not be a member. The same id again: the same. */
export async function announceMessage(
  { db, feeds, limits }: Deps,
  viewer: Viewer,
  input: { id: string; roomId: string; content: string },
): Promise<{ message: Message; duplicate: boolean }> {
  const id = parseUuid(input.id, 'id');
  const roomId = parseUuid(input.roomId, 'roomId');
  assertText(input.content, 'content', limits.maxContentLength);

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
  { messageId, content }: { messageId: string; content: string },
): Promise<{ message: Message }> {
  const { feeds, limits } = deps;
  const id = parseUuid(messageId, 'messageId');
  assertText(content, 'content', limits.maxContentLength);
  await assertMayChange(deps, viewer);

  const written = await changeMessage(deps, viewer, id, (db) => edit(db, id, viewer.userId, content));
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

/** In the turn of its room, whose lock it takes: however many messages of a locked room are changed, one change waits. */
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

/** Somebody who has just sent a message is still called as when they sent it. */
const nameHoldsMs = 1_000;

/** A new message with its author, where that spares a look at the database for each event. */
export function nameAuthor({ db }: Deps, message: Message): PagedMessage {
  const { senderId: id, senderName: name, createdAt } = message;
  // What is dated ahead was sent before the clock was set back.
  return Math.abs(db.now() - createdAt.getTime()) < nameHoldsMs ? { ...message, sender: { id, name } } : message;
}

/** Null also for what can be no message's id. */
export const findRoomOfMessage = async ({ batches }: Deps, id: string): Promise<string | null> =>
  isUuid(id) ? batches.roomsOfMessages.load(id) : null;

export const getMessage = ({ db }: Deps, viewer: Viewer, id: string): Promise<Message | null> =>
  findMessage(db, parseUuid(id, 'id'), viewer.userId);

/** Which page of a room's history, as it is asked for. */
export interface HistoryArgs {
  readonly args: PageArgs;
  /** Looked for where the page is read. */
  readonly findParts?: () => readonly MessagePart[];
}

/** What can be known of them before the room is. @throws {ChatError} BAD_USER_INPUT that says what is wrong */
export function assertHistoryArgs(args: PageArgs, { maxPageSize }: Limits): void {
  const { after, before } = parsePageArgs(args, maxPageSize);
  for (const cursor of [after, before]) if (cursor !== undefined) assertMessageCursor(cursor);
}

/** @throws {ChatError} BAD_USER_INPUT that says what is wrong */
export const parseHistoryPage = (args: PageArgs, { maxPageSize }: Limits, roomId: string): PageRequest<number> =>
  locatePage(parsePageArgs(args, maxPageSize), roomId);

/**
 * A page of a room's history, where it has not been read along with the room; then under a look of its own at the
 * membership: who holds a room may have left it since.
 */
export async function listMessages(
  { db, limits }: Deps,
  viewer: Onlooker,
  { id, along }: Pick<Room, 'id' | 'along'>,
  { args, findParts, omissions }: HistoryArgs & { readonly omissions?: Omissions },
): Promise<Page<PagedMessage>> {
  const page = parseHistoryPage(args, limits, id);
  if (along?.history !== undefined && isSamePage(along.history.request, page)) return along.history.page;
  return pageMessages(db, id, viewer.userId, { page, parts: findParts?.(), omissions });
}

/** One document can ask for several pages of the same room. */
const isSamePage = (a: PageRequest<number>, b: PageRequest<number>): boolean =>
  a.count === b.count && a.backward === b.backward && a.after === b.after && a.before === b.before;

/** What stands for a message as a cursor, for those who page by message ids. */
export async function getMessageCursor({ db }: Deps, viewer: Onlooker, roomId: string, id: string): Promise<string> {
  const message = await findMessage(db, parseUuid(id, 'cursor'), viewer.userId);
  if (message?.roomId !== roomId) throw new ChatError('BAD_USER_INPUT', 'cursor is not a message of this room');
  return cursorOfMessage(message);
}

function parseContent({ type, content }: SendMessageInput, maxLength: number) {
  if (type === 'SYSTEM') throw new ChatError('BAD_USER_INPUT', 'SYSTEM messages are written by the server');
  if (content == null) throw new ChatError('BAD_USER_INPUT', 'content is missing');
  assertText(content, 'content', maxLength);
  if (type === 'IMAGE') assertImageUrl(content);
  return { type: type ?? 'TEXT', content };
}

function stored({ message, outcome }: LogWrite): Message {
  if (message === null) throw new Error(`The room log answered ${outcome} without a message`);
  return message;
}
