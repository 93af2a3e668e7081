import type { Message, MessageType, SystemNotice } from '../domain/message.js';
import type { Member } from '../domain/room-log.js';
import { type ChatUser, Prisma } from './generated/prisma/client.js';

/** A message's columns of the table or composite that `prefix` names: all but the digest of its first content. */
export const messageColumns = (prefix: string): Prisma.Sql => columns(prefix, messageColumnNames);
export const memberColumns = (prefix: string): Prisma.Sql => columns(prefix, memberColumnNames);
/**
 * One who is a member now as one value, for a row of the room, with the user's name. Times are numbers, which both sides
 * make and read in a fraction of the time that text takes.
 */
export const memberJson = (m: string, userName: string): Prisma.Sql =>
  Prisma.raw(
    `json_build_array(${m}.id, ${m}.user_id, ${m}.is_admin, date_part('epoch', ${m}.joined_at), ${m}.joined_seq,
       ${m}.last_read_seq, ${m}.last_read_message_id, date_part('epoch', ${m}.last_read_at), ${userName})`,
  );
export const userColumns = (prefix: string): Prisma.Sql => columns(prefix, userColumnNames);
/** A user as one value, for a row of something else. */
export const userJson = (prefix: string): Prisma.Sql =>
  Prisma.raw(`json_build_object(${userColumnNames.map((name) => `'${name}', ${prefix}.${name}`).join(', ')})`);

const messageColumnNames =
  'id room_id seq changed_seq sender_id sender_name type content system created_at edited_at deleted_at'.split(' ');
const memberColumnNames =
  'id room_id user_id is_admin joined_at joined_seq left_at last_read_seq last_read_message_id last_read_at'.split(' ');
const userColumnNames = ['id', 'name'];

const columns = (prefix: string, names: readonly string[]): Prisma.Sql =>
  Prisma.raw(names.map((name) => `${prefix}.${name}`).join(', '));

/** In a row that is part of a JSON value, times are text, or seconds since 1970. */
type Time = Date | string | number;

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
  readonly created_at: Time;
  readonly edited_at: Time | null;
  readonly deleted_at: Time | null;
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
  createdAt: toDate(row.created_at),
  editedAt: toDateOrNull(row.edited_at),
  deletedAt: toDateOrNull(row.deleted_at),
});

export interface MemberRow {
  readonly id: string;
  readonly room_id: string;
  readonly user_id: number;
  readonly is_admin: boolean;
  readonly joined_at: Time;
  readonly joined_seq: number;
  readonly left_at: Time | null;
  readonly last_read_seq: number;
  readonly last_read_message_id: string | null;
  readonly last_read_at: Time | null;
}

export const toMember = (row: MemberRow): Member => ({
  id: row.id,
  roomId: row.room_id,
  userId: row.user_id,
  isAdmin: row.is_admin,
  joinedAt: toDate(row.joined_at),
  joinedSeq: row.joined_seq,
  leftAt: toDateOrNull(row.left_at),
  lastReadSeq: row.last_read_seq,
  lastReadMessageId: row.last_read_message_id,
  lastReadAt: toDateOrNull(row.last_read_at),
});

/** Who a user is. How they are is another matter: their presence. */
export type User = Pick<ChatUser, 'id' | 'name'>;

/** A member with who it is, where that was read along. */
export type KnownMember = Member & { readonly user?: User };

export function toKnownMember(row: MemberRow & { readonly user: User }): KnownMember {
  const member: Member & { user?: User } = toMember(row);
  member.user = row.user;
  return member;
}

export type MemberValues = readonly [
  id: string,
  userId: number,
  isAdmin: boolean,
  joinedAt: Time,
  joinedSeq: number,
  lastReadSeq: number,
  lastReadMessageId: string | null,
  lastReadAt: Time | null,
  userName: string | null,
];

/**
 * One who is a member now, of the value that `memberJson` made. Of hundreds in a list few fields are asked for: only
 * those are made.
 */
export class MemberOfValues implements KnownMember {
  readonly roomId: string;
  readonly leftAt = null;
  readonly #values: MemberValues;

  constructor(roomId: string, values: MemberValues) {
    this.roomId = roomId;
    this.#values = values;
  }

  get id(): string {
    return this.#values[0];
  }

  get userId(): number {
    return this.#values[1];
  }

  get isAdmin(): boolean {
    return this.#values[2];
  }

  get joinedAt(): Date {
    return toDate(this.#values[3]);
  }

  get joinedSeq(): number {
    return this.#values[4];
  }

  get lastReadSeq(): number {
    return this.#values[5];
  }

  get lastReadMessageId(): string | null {
    return this.#values[6];
  }

  get lastReadAt(): Date | null {
    return toDateOrNull(this.#values[7]);
  }

  get user(): User {
    return { id: this.#values[1], name: this.#values[8] };
  }
}

function toDate(time: Time): Date {
  if (typeof time === 'number') return new Date(Math.round(time * 1_000));
  return typeof time === 'string' ? new Date(time) : time;
}
const toDateOrNull = (time: Time | null): Date | null => (time === null ? null : toDate(time));
