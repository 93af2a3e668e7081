import { z } from 'zod';
import { ChatError } from '../domain/errors.js';
import { platform, viewerOf } from '../domain/viewer.js';
import type { Deps } from '../resolvers/deps.js';
import { loadMembership, loadRoom, loadUnreadCount } from '../resolvers/loaders.js';
import { announceMessage, getMessageCursor, listMessages, sendMessage } from '../resolvers/messages.js';
import { countUnreadMessages, markRead } from '../resolvers/rooms.js';
import { assertLimit, limit, nameHint, payload, skip, text, userId, uuid } from './payloads.js';
import { service } from './service.js';
import { showMessage } from './views.js';

const messageType = z.enum(['TEXT', 'IMAGE', 'SYSTEM'], { error: 'must be TEXT, IMAGE or SYSTEM' });
const defaultLimit = 50;

const listPayload = payload({
  roomId: uuid,
  userId: userId.nullish(),
  limit: limit.nullish(),
  cursor: uuid.nullish(),
  skip: skip.nullish(),
});

/** Newest first and without deleted messages, as existing callers expect; the cursor is a message's id. */
async function list(deps: Deps, { roomId: id, userId, limit, cursor, skip }: z.infer<typeof listPayload>) {
  const reader = userId == null ? platform : viewerOf(userId);
  if (cursor != null && skip != null) throw new ChatError('BAD_USER_INPUT', 'cursor and skip: give one, not both');
  const { id: roomId } = await loadRoom(deps, reader, id);
  const before = cursor == null ? undefined : await getMessageCursor(deps, reader, roomId, cursor);
  const { maxPageSize } = deps.limits;
  const args = { last: assertLimit(limit ?? Math.min(defaultLimit, maxPageSize), maxPageSize), before };
  const page = await listMessages(
    deps,
    reader,
    { id: roomId },
    { args, omissions: { deleted: true, skip: skip ?? 0 } },
  );
  const messages = page.rows.toReversed().map(showMessage);
  const hasMore = page.hasPreviousPage;
  return { data: { messages, hasMore, nextCursor: hasMore ? (messages.at(-1)?.id ?? null) : null } };
}

const savePayload = payload({
  id: uuid,
  roomId: uuid,
  senderId: userId,
  senderName: nameHint,
  content: text,
  type: messageType.nullish(),
  messageType: messageType.nullish(),
});

/** Some callers send `type` as `messageType`. */
async function save(deps: Deps, { id, roomId, senderId, senderName, content, ...rest }: z.infer<typeof savePayload>) {
  const viewer = viewerOf(senderId);
  const type = rest.type ?? rest.messageType ?? 'TEXT';
  const { message, duplicate } =
    type === 'SYSTEM'
      ? await announceMessage(deps, viewer, { id, roomId, content }, senderName)
      : await sendMessage(deps, viewer, { id, roomId, type, content }, senderName);
  return { data: { ...showMessage(message), duplicate } };
}

async function mark(deps: Deps, { userId, ...input }: { roomId: string; userId: number; messageId: string }) {
  const viewer = viewerOf(userId);
  const { room } = await markRead(deps, viewer, input, { parts: ['unreadCount'] });
  const { lastReadMessageId, lastReadSeq, lastReadAt } = await loadMembership(deps, viewer, room);
  const unreadCount = await loadUnreadCount(deps, viewer, room);
  return { data: { roomId: room.id, userId, lastReadMessageId, lastReadSeq, lastReadAt, unreadCount } };
}

/** Counts in one room, or in all rooms of the user. */
async function countUnread(deps: Deps, { userId, roomId }: { userId: number; roomId?: string | null | undefined }) {
  const viewer = viewerOf(userId);
  if (roomId == null) return { data: { unreadCount: await countUnreadMessages(deps, viewer) } };
  const room = await loadRoom(deps, viewer, roomId, { parts: ['unreadCount'], memberDetails: [] });
  return { data: { unreadCount: await loadUnreadCount(deps, viewer, room) } };
}

export const messageServices = [
  service(
    'chat.messages.list',
    '`{ messages, hasMore, nextCursor }`, newest first, without deleted ones, by default 50; `skip` in place of `cursor`',
    listPayload,
    list,
  ),
  service(
    'chat.messages.save',
    'the message and `duplicate`; `messageType` means the same as `type`',
    savePayload,
    save,
    { isBatched: true },
  ),
  service(
    'chat.messages.markRead',
    '`{ roomId, userId, lastReadMessageId, lastReadSeq, lastReadAt, unreadCount }`',
    payload({ roomId: uuid, userId, messageId: uuid }),
    mark,
  ),
  service(
    'chat.messages.unreadCount',
    '`{ unreadCount }`, of one room or of all',
    payload({ userId, roomId: uuid.nullish() }),
    countUnread,
  ),
];
