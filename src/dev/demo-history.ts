import { createHash } from 'node:crypto';
import { v5 as uuidv5 } from 'uuid';
import type { TableRow } from '../db/row.js';
import type { Message, MessageChange, messageShape } from '../domain/message.js';
import type { Language, Notice } from '../domain/notice.js';
import type { memberShape } from '../domain/room-log.js';

const minuteMs = 60_000;
const dayMs = 1_440 * minuteMs;
/** The demo's people live in Korea, which has no daylight saving time. */
const koreaAheadMs = 540 * minuteMs;

/** The content of prisma/demo.json. */
export interface Demo {
  readonly users: readonly DemoUser[];
  readonly rooms: readonly DemoRoom[];
}

interface DemoUser {
  readonly id: number;
  readonly name: string;
}

interface DemoRoom {
  readonly id: string;
  readonly type: 'DIRECT' | 'GROUP' | 'BOOKING';
  readonly name: string | null;
  readonly bookingId: number | null;
  readonly directKey: string | null;
  readonly creatorId: number;
  /** The first members, including the creator. */
  readonly memberIds: readonly number[];
  readonly bursts: readonly Burst[];
}

/** A conversation that begins at a time of day in Korea, or that ends some time before the seeding. */
type Burst = ({ readonly daysAgo: number; readonly at: string } | { readonly endsMinutesAgo: number }) & {
  readonly log: readonly Step[];
  /** The users who read the room after the conversation. An author has read everything before their message. */
  readonly readBy: readonly number[];
};

type Step = readonly [userId: number, action: Action, secondsAfterPrevious: number];

/** A text or another kind of entry. Edits and deletions refer to their message by its first content. */
type Action =
  | string
  /** A file of prisma/demo, and the name that it was sent with. */
  | { readonly image: string; readonly name: string }
  | { readonly edit: string; readonly to: string }
  | { readonly delete: string }
  | { readonly rename: string }
  | { readonly invite: readonly number[] };

/** The rows of a room, as the functions of the room log would have written them. */
export interface History {
  readonly nameOf: (userId: number) => string;
  readonly language: Language;
  readonly room: {
    id: string;
    name: string | null;
    type: DemoRoom['type'];
    booking_id: number | null;
    direct_key: string | null;
    seq: number;
    published_seq: number;
    created_at: Date;
    updated_at: Date;
  };
  readonly members: DemoMember[];
  readonly messages: (TableRow<typeof messageShape> & ChangeColumns)[];
  /** The pictures of these messages. */
  readonly pictures: DemoPicture[];
  readonly reads: { id: string; message_id: string; room_id: string; user_id: number; seq: number; read_at: Date }[];
}

/** A picture of a message, whose bytes are in prisma/demo. */
export interface DemoPicture {
  readonly id: string;
  readonly file: string;
  readonly name: string;
  readonly roomId: string;
  readonly uploaderId: number;
  readonly messageId: string;
  readonly seq: number;
  readonly sentAt: Date;
}

/** The columns of a message that only the table has. */
interface ChangeColumns {
  sent_digest: string | null;
  change: MessageChange | null;
  changed_at: Date | null;
}

type DemoMember = TableRow<typeof memberShape> & { readonly is_confirmed: true };

/** The histories of the rooms, dated in the days before `now`. */
export function createHistories({ users, rooms }: Demo, now: Date, language: Language): History[] {
  const names = new Map(users.map(({ id, name }) => [id, name]));
  const nameOf = (userId: number) => names.get(userId) ?? `#${userId}`;
  return rooms.map((room) => createHistory(room, { nameOf, language }, now));
}

function createHistory(demo: DemoRoom, words: Pick<History, 'nameOf' | 'language'>, now: Date): History {
  const startedAt = demo.bursts[0] === undefined ? now : startOf(demo.bursts[0], now);
  const { id, name, type, bookingId, directKey, creatorId, memberIds } = demo;
  const room = { id, name, type, booking_id: bookingId, direct_key: directKey, seq: 0, published_seq: 0 };
  const history: History = {
    ...words,
    room: { ...room, created_at: startedAt, updated_at: startedAt },
    members: [],
    messages: [],
    pictures: [],
    reads: [],
  };
  addMembers(history, memberIds, startedAt);
  for (const member of history.members) member.is_admin = type === 'GROUP' && member.user_id === creatorId;
  appendSystem(history, creatorId, startedAt, { code: 'ROOM_CREATED', userIds: [...memberIds] });
  for (const burst of demo.bursts) tellBurst(history, burst, now);
  return history;
}

function tellBurst(history: History, burst: Burst, now: Date): void {
  let at = startOf(burst, now);
  for (const [userId, action, seconds] of burst.log) {
    readAll(history, userId, addSeconds(at, seconds / 2));
    at = addSeconds(at, seconds);
    act(history, userId, action, at);
  }
  for (const userId of burst.readBy) {
    at = addSeconds(at, 20);
    readAll(history, userId, at);
  }
}

function startOf(burst: Burst, now: Date): Date {
  if ('endsMinutesAgo' in burst) {
    const seconds = burst.log.reduce((sum, [, , gap]) => sum + gap, 0);
    return addSeconds(now, -burst.endsMinutesAgo * 60 - seconds);
  }
  const [hours = 0, minutes = 0] = burst.at.split(':').map(Number);
  const today = Math.floor((now.getTime() + koreaAheadMs) / dayMs) * dayMs - koreaAheadMs;
  return new Date(today - burst.daysAgo * dayMs + (hours * 60 + minutes) * minuteMs);
}

const addSeconds = (time: Date, seconds: number): Date => new Date(time.getTime() + seconds * 1_000);

function act(history: History, userId: number, action: Action, at: Date): void {
  const { room } = history;
  if (typeof action === 'string') {
    append(history, userId, at, { type: 'TEXT', content: action, system: null });
  } else if ('image' in action) {
    appendPicture(history, userId, at, action);
  } else if ('edit' in action) {
    const last = { change: 'EDITED', changed_at: at, edited_at: at };
    Object.assign(change(history, userId, action.edit), { ...last, content: action.to });
  } else if ('delete' in action) {
    const last = { change: 'DELETED', changed_at: at, deleted_at: at };
    Object.assign(change(history, userId, action.delete), { ...last, content: null });
  } else if ('rename' in action) {
    room.name = action.rename;
    appendSystem(history, userId, at, { code: 'ROOM_RENAMED', userIds: [], roomName: action.rename });
  } else {
    const userIds = action.invite.toSorted((a, b) => a - b);
    addMembers(history, userIds, at);
    appendSystem(history, userId, at, { code: 'MEMBERS_JOINED', userIds });
  }
}

function append(
  { room, messages, nameOf }: History,
  senderId: number,
  at: Date,
  body: Pick<Message, 'type' | 'content' | 'system'>,
): void {
  const seq = ++room.seq;
  room.updated_at = at;
  messages.push({
    id: uuidv5(`message ${seq}`, room.id),
    room_id: room.id,
    seq,
    changed_seq: seq,
    sender_id: senderId,
    sender_name: nameOf(senderId),
    ...body,
    sent_digest: null,
    created_at: at,
    edited_at: null,
    deleted_at: null,
    change: null,
    changed_at: null,
  });
}

/** The digest of what was sent covers the ids of the files, as `chat_send_attachments` makes it. */
function appendPicture(
  history: History,
  userId: number,
  at: Date,
  { image, name }: { readonly image: string; readonly name: string },
): void {
  append(history, userId, at, { type: 'IMAGE', content: '', system: null });
  const message = history.messages.at(-1);
  if (message === undefined) return;
  const id = uuidv5(image, history.room.id);
  message.sent_digest = digestOf(`\n${id}`);
  const place = { roomId: history.room.id, messageId: message.id, seq: message.seq };
  history.pictures.push({ id, file: image, name, uploaderId: userId, sentAt: at, ...place });
}

const digestOf = (text: string): string => `\\x${createHash('sha256').update(text).digest('hex')}`;

function appendSystem(
  history: History,
  actorId: number,
  at: Date,
  notice: Pick<Notice, 'code' | 'userIds' | 'roomName'>,
): void {
  const { language, nameOf, room } = history;
  const isByBooking = room.type === 'BOOKING' ? { isByBooking: true } : {};
  const system = { ...notice, ...isByBooking, language, names: notice.userIds.slice(0, 10).map(nameOf) };
  append(history, actorId, at, { type: 'SYSTEM', content: null, system });
}

/** Gives the message the next position of the log, and stores its first content. */
function change({ room, messages }: History, senderId: number, content: string) {
  const message = messages.findLast((m) => m.sender_id === senderId && m.content === content);
  if (message === undefined) throw new Error(`The demo has no message "${content}" of user ${senderId} to change`);
  message.changed_seq = ++room.seq;
  message.sent_digest ??= digestOf(content);
  return message;
}

/** The users join with the entry that is appended next. */
function addMembers({ room, members }: History, userIds: readonly number[], at: Date): void {
  for (const userId of userIds) {
    members.push({
      id: uuidv5(`member ${userId}`, room.id),
      room_id: room.id,
      user_id: userId,
      is_admin: false,
      joined_at: at,
      joined_seq: room.seq + 1,
      is_confirmed: true,
      left_at: null,
      last_read_seq: 0,
      last_read_message_id: null,
      last_read_at: null,
    });
  }
}

/** Moves the member's read mark to the newest message, unless it is there already. */
function readAll({ room, members, messages, reads }: History, userId: number, at: Date): void {
  const member = members.find((m) => m.user_id === userId);
  const newest = messages.at(-1);
  if (member === undefined || newest === undefined || newest.seq <= member.last_read_seq) return;
  member.last_read_seq = newest.seq;
  member.last_read_message_id = newest.id;
  member.last_read_at = at;
  const id = uuidv5(`read ${userId} ${newest.seq}`, room.id);
  reads.push({ id, message_id: newest.id, room_id: room.id, user_id: userId, seq: newest.seq, read_at: at });
}
