import {
  type Message,
  type MessageType,
  messageTypes,
  type SystemCode,
  type SystemNotice,
  systemCodes,
} from '../domain/message.js';
import type { Presence } from '../domain/presence.js';
import type { LogEntry, Member, PublishedRange } from '../domain/room-log.js';
import { typingExpiresInMs } from '../domain/typing.js';
import {
  asBoolean,
  asDate,
  asFields,
  asList,
  asMark,
  asOneOf,
  asPosition,
  asText,
  asUserId,
  asUuid,
  ForeignBodyError,
  orNull,
  parseBody,
} from './fields.js';

const encoder = new TextEncoder();
const encode = (value: unknown): Uint8Array => encoder.encode(JSON.stringify(value));

/*
 * Everything below that decodes throws a ForeignBodyError unless the body is entirely one of ours: every field is there,
 * of its type and in its range, and fields that are not ours are left out. Anybody may publish anything, and what gets
 * through is shown to every subscriber.
 */

/**
 * The body of a log entry: the whole message in JSON, with the entry's `kind`. `seq` is the message's own position and
 * `changedSeq` that of its last change, which is the entry's position where the kind is not "added".
 */
export const encodeEntry = ({ kind, message, directKey }: LogEntry): Uint8Array =>
  encode({ ...message, kind, directKey });

/** Once for each entry and process: a few microseconds. */
export function decodeEntry(body: Uint8Array): LogEntry {
  const fields = asFields<keyof Message | 'kind' | 'directKey'>(parseBody(body));
  const kind = asOneOf(fields.kind, kinds);
  const message: Message = {
    id: asUuid(fields.id),
    roomId: asUuid(fields.roomId),
    seq: asPosition(fields.seq),
    changedSeq: asPosition(fields.changedSeq),
    senderId: asUserId(fields.senderId),
    senderName: asText(fields.senderName),
    type: asOneOf(fields.type, types),
    content: orNull(fields.content, asText),
    system: orNull(fields.system, asNotice),
    createdAt: asDate(fields.createdAt),
    editedAt: orNull(fields.editedAt, asDate),
    deletedAt: orNull(fields.deletedAt, asDate),
  };
  if (!isPossible(kind, message)) throw new ForeignBodyError('an entry of a room log');
  const seq = kind === 'added' ? message.seq : message.changedSeq;
  return { kind, seq, message, directKey: orNull(fields.directKey, asDirectKey) };
}

/** Whether the fields go together. An addition may be told when its message has been changed since. */
function isPossible(kind: LogEntry['kind'], { seq, changedSeq, type, content, system, deletedAt }: Message): boolean {
  const isDeleted = deletedAt !== null;
  const isWhole = (content === null) === isDeleted && (system !== null) === (type === 'SYSTEM');
  if (kind === 'added') return isWhole && changedSeq >= seq;
  return isWhole && changedSeq > seq && isDeleted === (kind === 'deleted');
}

function asNotice(value: unknown): SystemNotice {
  const { code, userIds } = asFields<keyof SystemNotice>(value);
  return { code: asOneOf(code, codes), userIds: asList(userIds, maxRoomMembers).map(asUserId) };
}

function asDirectKey(value: unknown): string {
  if (typeof value !== 'string' || !/^[1-9]\d{0,9}:[1-9]\d{0,9}$/.test(value))
    throw new ForeignBodyError('a direct key');
  return value;
}

/** A member whose read mark moved. */
export const encodeMember = (member: Member): Uint8Array => encode(member);
export function decodeMember(body: Uint8Array): Member {
  const fields = asFields<keyof Member>(parseBody(body));
  return {
    id: asUuid(fields.id),
    roomId: asUuid(fields.roomId),
    userId: asUserId(fields.userId),
    isAdmin: asBoolean(fields.isAdmin),
    joinedAt: asDate(fields.joinedAt),
    joinedSeq: asMark(fields.joinedSeq),
    leftAt: orNull(fields.leftAt, asDate),
    lastReadSeq: asMark(fields.lastReadSeq),
    lastReadMessageId: orNull(fields.lastReadMessageId, asUuid),
    lastReadAt: orNull(fields.lastReadAt, asDate),
  };
}

/** How a user is now. */
export const encodePresence = (presence: Presence): Uint8Array => encode(presence);
export function decodePresence(body: Uint8Array): Presence {
  const { userId, status, lastSeenAt } = asFields<keyof Presence>(parseBody(body));
  return {
    userId: asUserId(userId),
    status: asOneOf(status, presenceStatuses),
    lastSeenAt: orNull(lastSeenAt, asDate),
  };
}

/** That a user types, or has stopped. */
export interface TypingSignal {
  readonly userId: number;
  readonly isTyping: boolean;
  /** How long ago they said so, where that was not at once. */
  readonly ageMs: number;
}
export const encodeTyping = (signal: TypingSignal): Uint8Array => encode(signal);
export function decodeTyping(body: Uint8Array): TypingSignal {
  const { userId, isTyping, ageMs = 0 } = asFields<keyof TypingSignal>(parseBody(body));
  if (typeof ageMs !== 'number' || !(ageMs >= 0 && ageMs <= typingExpiresInMs)) throw new ForeignBodyError('an age');
  return { userId: asUserId(userId), isTyping: asBoolean(isTyping), ageMs };
}

/** Parts of room logs that a stream has acknowledged, at most `maxRanges` and `maxRangeLength` positions in all. */
export const encodeRanges = (ranges: readonly PublishedRange[]): Uint8Array => encode(ranges);
export function decodeRanges(body: Uint8Array): PublishedRange[] {
  const ranges = asList(parseBody(body), maxRanges).map((value) => {
    const { roomId, from, to } = asFields<keyof PublishedRange>(value);
    return { roomId: asUuid(roomId), from: asPosition(from), to: asPosition(to) };
  });
  let length = 0;
  for (const { from, to } of ranges) {
    // Ranges are walked through: what is longer than an instance can publish between two of its messages is not ours.
    length += to - from + 1;
    if (to < from || length > maxRangeLength) throw new ForeignBodyError('ranges of room logs');
  }
  return ranges;
}
export const maxRanges = 1_000;

const maxRangeLength = 100_000;
/** The most that the configuration allows. */
const maxRoomMembers = 10_000;

const kinds: ReadonlySet<LogEntry['kind']> = new Set(['added', 'updated', 'deleted']);
const presenceStatuses: ReadonlySet<Presence['status']> = new Set(['ONLINE', 'OFFLINE']);
const types: ReadonlySet<MessageType> = new Set(messageTypes);
const codes: ReadonlySet<SystemCode> = new Set(systemCodes);
