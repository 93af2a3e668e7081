import { parseUuid } from '../domain/ids.js';
import type { Message } from '../domain/message.js';
import type { Presence } from '../domain/presence.js';
import type { LogEntry, Member, PublishedRange } from '../domain/room-log.js';
import { typingExpiresInMs } from '../domain/typing.js';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * The body of a log entry: the whole message in JSON, with the entry's `kind`. `seq` is the message's own position and
 * `changedSeq` that of its last change, which is the entry's position where the kind is not "added".
 */
export const encodeEntry = ({ kind, message, directKey }: LogEntry): Uint8Array =>
  encoder.encode(JSON.stringify({ ...message, kind, directKey }));

/** @throws {Error} where it is somebody else's message: a position that is no number would spoil whatever it is compared with */
export function decodeEntry(body: Uint8Array): LogEntry {
  const { kind, directKey, ...message } = parse<Message & Pick<LogEntry, 'kind' | 'directKey'>>(body);
  const { seq, changedSeq } = message;
  if (!kinds.has(kind) || !isNumber(seq) || !isNumber(changedSeq)) throw new Error('Not an entry of a room log');
  parseUuid(message.roomId, 'roomId');
  if (message.system !== null && !message.system.userIds.every(isNumber)) throw new Error('Not a system notice');
  return { kind, seq: kind === 'added' ? seq : changedSeq, message, directKey };
}

/** A member whose read mark moved. */
export const encodeMember = (member: Member): Uint8Array => encoder.encode(JSON.stringify(member));
/** @throws {Error} where it is somebody else's message */
export function decodeMember(body: Uint8Array): Member {
  const member = parse<Member>(body);
  if (!isNumber(member.userId) || !isNumber(member.lastReadSeq)) throw new Error('Not a member');
  return member;
}

/** How a user is now. */
export const encodePresence = (presence: Presence): Uint8Array => encoder.encode(JSON.stringify(presence));

/** That a user types, or has stopped. */
export interface TypingSignal {
  readonly userId: number;
  readonly isTyping: boolean;
  /** How long ago they said so, where that was not at once. */
  readonly ageMs: number;
}
export const encodeTyping = (signal: TypingSignal): Uint8Array => encoder.encode(JSON.stringify(signal));
/** @throws {Error} where it is somebody else's message */
export function decodeTyping(body: Uint8Array): TypingSignal {
  const { userId, isTyping, ageMs = 0 } = parse<TypingSignal>(body);
  if (!isUserId(userId) || typeof isTyping !== 'boolean') throw new Error('Not a typing signal');
  if (!(ageMs >= 0 && ageMs <= typingExpiresInMs)) throw new Error('Not the age of a typing signal');
  return { userId, isTyping, ageMs };
}

/** Parts of room logs that a stream has acknowledged. */
export const encodeRanges = (ranges: readonly PublishedRange[]): Uint8Array => encoder.encode(JSON.stringify(ranges));
/** @throws {Error} where it is somebody else's message: a range is walked through, so its length must be one of ours */
export function decodeRanges(body: Uint8Array): PublishedRange[] {
  const ranges = parse<PublishedRange[]>(body);
  for (const { roomId, from, to } of ranges) {
    const isOurs = isNumber(from) && isNumber(to) && from >= 1 && to >= from && to - from < maxRangeLength;
    if (!isOurs || to > maxPosition) throw new Error('Not ranges of room logs');
    parseUuid(roomId, 'roomId');
  }
  return ranges;
}

/** More than one instance can publish between two of its messages. */
const maxRangeLength = 100_000;
const maxPosition = 2 ** 31 - 1;
const maxUserId = 2 ** 31 - 1;

const kinds: ReadonlySet<unknown> = new Set<LogEntry['kind']>(['added', 'updated', 'deleted']);
const isNumber = (value: unknown): boolean => Number.isInteger(value);
const isUserId = (value: number): boolean => isNumber(value) && value >= 1 && value <= maxUserId;

const parse = <T>(body: Uint8Array): T => JSON.parse(decoder.decode(body), reviveDate) as T;

/** The names of instants, so that a message's text that looks like a date stays text. */
const instants = new Set(['createdAt', 'editedAt', 'deletedAt', 'joinedAt', 'leftAt', 'lastReadAt']);
const reviveDate = (key: string, value: unknown): unknown =>
  instants.has(key) && typeof value === 'string' ? new Date(value) : value;
