import type { Message, MessageType, SystemNotice } from '../domain/message.js';
import type { Member } from '../domain/room-log.js';
import { type ChatUser, Prisma } from './generated/prisma/client.js';

/** A message's columns of the table or composite that `prefix` names: all but the digest of its first content. */
export const messageColumns = (prefix: string): Prisma.Sql => columns(prefix, messageColumnNames);
export const memberColumns = (prefix: string): Prisma.Sql => columns(prefix, memberColumnNames);
/** The values of a known room's message, for `json_build_array`. */
export const messageValues = (c: string): Prisma.Sql =>
  Prisma.raw(`${c}.id, ${c}.seq, ${c}.changed_seq, ${c}.sender_id, ${c}.sender_name, ${c}.type, ${c}.content, ${c}.system,
    ${seconds(`${c}.created_at`)}, ${seconds(`${c}.edited_at`)}, ${seconds(`${c}.deleted_at`)}`);
/** One who is a member now as one value, for a row of the room, with the user's name. */
export const memberJson = (m: string, userName: Prisma.Sql, details: readonly MemberDetail[]): Prisma.Sql => {
  // Parameters, so that one statement is prepared and not one for each choice of them.
  const detail = (name: MemberDetail, value: string) =>
    Prisma.sql`CASE WHEN ${details.includes(name)}::boolean THEN ${Prisma.raw(value)} END`;
  return Prisma.sql`json_build_array(
    ${Prisma.raw(`${m}.user_id, ${m}.is_admin, ${m}.joined_seq, ${m}.last_read_seq`)}, ${userName},
    ${detail('id', `${m}.id`)}, ${detail('joinedAt', seconds(`${m}.joined_at`))},
    ${detail('lastReadMessageId', `${m}.last_read_message_id`)}, ${detail('lastReadAt', seconds(`${m}.last_read_at`))})`;
};
export const userColumns = (prefix: string): Prisma.Sql => columns(prefix, userColumnNames);
/** The name of member m, user u, as it is shown in the room: null until they are confirmed there. */
export const nameOfMember = (m: string, u: string): Prisma.Sql =>
  Prisma.raw(`CASE WHEN ${m}.is_confirmed THEN ${u}.name END`);

const messageColumnNames =
  'id room_id seq changed_seq sender_id sender_name type content system created_at edited_at deleted_at'.split(' ');
const memberColumnNames =
  'id room_id user_id is_admin joined_at joined_seq left_at last_read_seq last_read_message_id last_read_at'.split(' ');
const userColumnNames = ['id', 'name'];

const columns = (prefix: string, names: readonly string[]): Prisma.Sql =>
  Prisma.raw(names.map((name) => `${prefix}.${name}`).join(', '));

/** In seconds since 1970 a time is made and read in a fraction of the time that text takes. */
export const seconds = (column: string): string => `date_part('epoch', ${column})`;

/** As the driver reads it, or as `seconds`. */
type Time = Date | number;

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

export type MessageValues = readonly [
  id: string,
  seq: number,
  changedSeq: number,
  senderId: number,
  senderName: string,
  type: MessageType,
  content: string | null,
  system: SystemNotice | null,
  createdAt: number,
  editedAt: number | null,
  deletedAt: number | null,
  userName?: string | null,
  readCount?: number | null,
];

export const toMessageOf = (roomId: string, values: MessageValues): Message => ({
  id: values[0],
  roomId,
  seq: values[1],
  changedSeq: values[2],
  senderId: values[3],
  senderName: values[4],
  type: values[5],
  content: values[6],
  system: values[7],
  createdAt: toDate(values[8]),
  editedAt: toDateOrNull(values[9]),
  deletedAt: toDateOrNull(values[10]),
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

/** A membership with its user's name, and whether that is shown to others in the room. */
export type NamedMemberRow = MemberRow & { readonly name: string | null; readonly is_confirmed: boolean };

/** Members as they are shown to one viewer: without their name who is not confirmed, unless it is the viewer. */
export function showMembers(rows: readonly NamedMemberRow[]): (viewerId: number | null) => readonly KnownMember[] {
  const own = new Map<number | null, { readonly place: number; readonly member: KnownMember }>();
  const shown = rows.map((row, place) => {
    if (row.is_confirmed) return toKnownMember(row);
    own.set(row.user_id, { place, member: toKnownMember(row) });
    return toKnownMember({ ...row, name: null });
  });
  return (viewerId) => {
    const viewer = own.get(viewerId);
    return viewer === undefined ? shown : shown.with(viewer.place, viewer.member);
  };
}

function toKnownMember(row: NamedMemberRow): KnownMember {
  const member: Member & { user?: User } = toMember(row);
  member.user = { id: row.user_id, name: row.name };
  return member;
}

/** What takes longer to make than all the rest of a member, and is made where it is asked for. */
export const memberDetails = ['id', 'joinedAt', 'lastReadMessageId', 'lastReadAt'] as const;
export type MemberDetail = (typeof memberDetails)[number];

export type MemberValues = readonly [
  userId: number,
  isAdmin: boolean,
  joinedSeq: number,
  lastReadSeq: number,
  userName: string | null,
  id: string | null,
  joinedAt: number | null,
  lastReadMessageId: string | null,
  lastReadAt: number | null,
];

/**
 * One who is a member now, of the value that `memberJson` made. Of hundreds in a list few fields are asked for: only
 * those are made, when they are looked at, so a copy of its own properties has none of them.
 */
export class MemberOfValues implements KnownMember {
  readonly roomId: string;
  readonly leftAt = null;
  readonly #values: MemberValues;
  readonly #details: readonly MemberDetail[];

  constructor(roomId: string, values: MemberValues, details: readonly MemberDetail[]) {
    this.roomId = roomId;
    this.#values = values;
    this.#details = details;
  }

  get userId(): number {
    return this.#values[0];
  }

  get isAdmin(): boolean {
    return this.#values[1];
  }

  get joinedSeq(): number {
    return this.#values[2];
  }

  get lastReadSeq(): number {
    return this.#values[3];
  }

  get user(): User {
    return { id: this.#values[0], name: this.#values[4] };
  }

  get id(): string {
    return this.#detail('id', this.#values[5]) as string;
  }

  get joinedAt(): Date {
    return toDate(this.#detail('joinedAt', this.#values[6]) as number);
  }

  get lastReadMessageId(): string | null {
    return this.#detail('lastReadMessageId', this.#values[7]);
  }

  get lastReadAt(): Date | null {
    return toDateOrNull(this.#detail('lastReadAt', this.#values[8]));
  }

  /** What was not asked for is null in the values, and must not be taken for a null that is stored. */
  #detail<Value>(name: MemberDetail, value: Value): Value {
    if (!this.#details.includes(name)) throw new Error(`The ${name} of a member was not asked for`);
    return value;
  }
}

export const toDate = (time: Time): Date => (typeof time === 'number' ? new Date(Math.round(time * 1_000)) : time);
export const toDateOrNull = (time: Time | null): Date | null => (time === null ? null : toDate(time));
