import { attachment, maxAttachments } from './attachment.js';
import {
  computed,
  listOf,
  objectOf,
  oneOf,
  orNull,
  position,
  type Shape,
  type Shaped,
  text,
  time,
  userId,
  uuid,
  type ValueOf,
} from './shape.js';

export const systemCodes = [
  'ROOM_CREATED',
  'ROOM_RENAMED',
  'ROOM_IMAGE_CHANGED',
  'MEMBERS_JOINED',
  'MEMBER_LEFT',
  'MEMBER_REMOVED',
  'ADMIN_GRANTED',
  'ADMIN_REVOKED',
  'BOOKING_CANCELLED',
  'ANNOUNCEMENT',
] as const;
export type SystemCode = (typeof systemCodes)[number];

/** The maximum that the configuration allows. */
export const maxRoomMembers = 10_000;

/** The event that a SYSTEM message reports, and the users it is about. */
const systemNotice = objectOf({ code: oneOf(systemCodes), userIds: listOf(userId, maxRoomMembers) });
export type SystemNotice = ValueOf<typeof systemNotice>;

const messageType = oneOf(['TEXT', 'IMAGE', 'FILE', 'SYSTEM'] as const);
export type MessageType = ValueOf<typeof messageType>;

/** The kind of log entry that each change of a message makes. */
export const changeKinds = { EDITED: 'updated', DELETED: 'deleted', ATTACHMENTS: 'updated' } as const;
export type MessageChange = keyof typeof changeKinds;

/**
 * A message's fields, in the order of its columns. A new one is added here and to the table; if it is computed from other
 * tables, its SQL is added to db/message-row.ts. It is then part of every page, replay, live event and published body.
 */
export const messageShape = {
  id: uuid,
  roomId: uuid,
  /** Position in the room's log: entries of every kind are numbered 1, 2, 3 ... without holes. */
  seq: position,
  /** Position of the last change; equal to `seq` until the message is edited or deleted. */
  changedSeq: position,
  senderId: userId,
  /** The author's name when the message was sent. */
  senderName: text,
  type: messageType,
  /** Null once deleted; may be empty beside attachments. */
  content: orNull(text),
  system: orNull(systemNotice),
  createdAt: time,
  editedAt: orNull(time),
  deletedAt: orNull(time),
  /** In their order; null without any, and once deleted. */
  attachments: computed(orNull(listOf(attachment, maxAttachments))),
} as const satisfies Shape;

/** One message as it is now. */
export interface Message extends Shaped<typeof messageShape> {}

/** Whether this message reports the end of the user's membership. */
export function endsMembership(message: Message, userId: number): boolean {
  const { system } = message;
  if (system === null || (system.code !== 'MEMBER_LEFT' && system.code !== 'MEMBER_REMOVED')) return false;
  return system.userIds.includes(userId);
}
