import type { Message, MessageType, SystemNotice } from '../domain/message.js';
import type { Member } from '../domain/room-log.js';
import { Prisma } from './generated/prisma/client.js';

/** A message's columns of the table or composite that `prefix` names: all but the digest of its first content. */
export const messageColumns = (prefix: string): Prisma.Sql => columns(prefix, messageColumnNames);
export const memberColumns = (prefix: string): Prisma.Sql => columns(prefix, memberColumnNames);

const messageColumnNames =
  'id room_id seq changed_seq sender_id sender_name type content system created_at edited_at deleted_at'.split(' ');
const memberColumnNames =
  'id room_id user_id is_admin joined_at joined_seq left_at last_read_seq last_read_message_id last_read_at'.split(' ');

const columns = (prefix: string, names: readonly string[]): Prisma.Sql =>
  Prisma.raw(names.map((name) => `${prefix}.${name}`).join(', '));

export interface MessageRow {
  readonly id: string;
  readonly room_id: string;
  readonly seq: number;
  readonly changed_seq: number;
  readonly sender_id: number;
  readonly sender_name: string;
  readonly type: MessageType;
  readonly content: string | null;
  readonly system: SystemNotice | null;
  readonly created_at: Date;
  readonly edited_at: Date | null;
  readonly deleted_at: Date | null;
}

export const toMessage = (row: MessageRow): Message => ({
  id: row.id,
  roomId: row.room_id,
  seq: row.seq,
  changedSeq: row.changed_seq,
  senderId: row.sender_id,
  senderName: row.sender_name,
  type: row.type,
  content: row.content,
  system: row.system,
  createdAt: row.created_at,
  editedAt: row.edited_at,
  deletedAt: row.deleted_at,
});

export interface MemberRow {
  readonly id: string;
  readonly room_id: string;
  readonly user_id: number;
  readonly is_admin: boolean;
  readonly joined_at: Date;
  readonly joined_seq: number;
  readonly left_at: Date | null;
  readonly last_read_seq: number;
  readonly last_read_message_id: string | null;
  readonly last_read_at: Date | null;
}

export const toMember = (row: MemberRow): Member => ({
  id: row.id,
  roomId: row.room_id,
  userId: row.user_id,
  isAdmin: row.is_admin,
  joinedAt: row.joined_at,
  joinedSeq: row.joined_seq,
  leftAt: row.left_at,
  lastReadSeq: row.last_read_seq,
  lastReadMessageId: row.last_read_message_id,
  lastReadAt: row.last_read_at,
});
