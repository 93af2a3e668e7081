export const systemCodes = [
  'ROOM_CREATED',
  'ROOM_RENAMED',
  'MEMBERS_JOINED',
  'MEMBER_LEFT',
  'MEMBER_REMOVED',
  'ADMIN_GRANTED',
  'ADMIN_REVOKED',
  'BOOKING_CANCELLED',
  'ANNOUNCEMENT',
] as const;
export type SystemCode = (typeof systemCodes)[number];

/** The event that a SYSTEM message reports, and the users it is about. A type, not an interface: it is stored as JSON. */
export type SystemNotice = { code: SystemCode; userIds: number[] };

export const messageTypes = ['TEXT', 'IMAGE', 'SYSTEM'] as const;
export type MessageType = (typeof messageTypes)[number];

/** One message as it is now. */
export interface Message {
  readonly id: string;
  readonly roomId: string;
  /** Position in the room's log: entries of every kind are numbered 1, 2, 3 ... without holes. */
  readonly seq: number;
  /** Position of the last change; equal to `seq` until the message is edited or deleted. */
  readonly changedSeq: number;
  readonly senderId: number;
  /** The author's name when the message was sent. */
  readonly senderName: string;
  readonly type: MessageType;
  /** Null once deleted. */
  readonly content: string | null;
  readonly system: SystemNotice | null;
  readonly createdAt: Date;
  readonly editedAt: Date | null;
  readonly deletedAt: Date | null;
}

/** Whether this message reports the end of the user's membership. */
export function endsMembership(message: Message, userId: number): boolean {
  const { system } = message;
  if (system === null || (system.code !== 'MEMBER_LEFT' && system.code !== 'MEMBER_REMOVED')) return false;
  return system.userIds.includes(userId);
}
