import {
  type Message,
  type MessageType,
  messageShape,
  messageTypes,
  type SystemCode,
  type SystemNotice,
  systemCodes,
} from '../../domain/message.js';
import type { Presence } from '../../domain/presence.js';
import { type LogEntry, type Member, memberShape, type PublishedRange } from '../../domain/room-log.js';
import type { Shape, Shaped } from '../../domain/shape.js';
import { typingExpiresInMs } from '../../domain/typing.js';
import type { EntrySeal } from './entry-seal.js';
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
  type Fields,
  ForeignBodyError,
  orNull,
  parseBody,
} from './fields.js';

const encoder = new TextEncoder();
const encode = (value: unknown): Uint8Array => encoder.encode(JSON.stringify(value));
const encodeSealed = (seal: EntrySeal, value: object): Uint8Array => encoder.encode(seal.put(JSON.stringify(value)));

/*
 * Everything below that decodes throws a ForeignBodyError unless the body is entirely one of ours: every field is there,
 * of its type and in its range, and fields that are not ours are left out. Anybody may publish anything, and what gets
 * through is shown to every subscriber.
 */

/**
 * The body of a log entry: the whole message in JSON, with the entry's `kind`. `seq` is the message's own position and
 * `changedSeq` that of its last change, which is the entry's position where the kind is not "added".
 */
export const encodeEntry = (seal: EntrySeal, { kind, message, directKey, epoch }: LogEntry): Uint8Array =>
  encodeSealed(seal, { ...message, kind, directKey, epoch });

/** What is published of an entry that is larger than a message may be: where it is, and not what it says. */
export interface EntryReference {
  readonly kind: 'reference';
  readonly roomId: string;
  readonly seq: number;
  /** Null where a release before this one published it. */
  readonly epoch: string | null;
  /** Only an entry of the SYSTEM's says who came and who went. */
  readonly type: MessageType;
}

export const roomOf = (entry: LogEntry | EntryReference): string =>
  entry.kind === 'reference' ? entry.roomId : entry.message.roomId;

/** The entry without its text, its notice and its author's name, and with `isReference: true`: who needs them asks for them. */
export function encodeReference(seal: EntrySeal, { kind, message, directKey, epoch }: LogEntry): Uint8Array {
  const { content: _content, system: _system, senderName: _name, ...rest } = message;
  return encodeSealed(seal, { ...rest, kind, directKey, epoch, isReference: true });
}

/** What the body says; whether an instance has said so, the seal tells. A few microseconds. */
export function decodeEntry(body: Uint8Array): LogEntry | EntryReference {
  const fields = asFields<keyof Message | 'kind' | 'directKey' | 'epoch' | 'isReference'>(parseBody(body));
  const kind = asOneOf(fields.kind, kinds);
  const epoch = fields.epoch === undefined ? null : asUuid(fields.epoch);
  if (fields.isReference !== undefined) return asReference(kind, epoch, fields);
  const message = asMessage(fields);
  if (!isPossible(kind, message)) throw new ForeignBodyError('an entry of a room log');
  const seq = kind === 'added' ? message.seq : message.changedSeq;
  const directKey = orNull(fields.directKey, asDirectKey);
  // Of a release before this one: it says where something is, and not in which log.
  if (epoch === null) return { kind: 'reference', roomId: message.roomId, seq, epoch, type: message.type };
  return { kind, seq, message, directKey, epoch };
}

function asReference(
  kind: LogEntry['kind'],
  epoch: string | null,
  fields: Fields<keyof Message | 'isReference'>,
): EntryReference {
  const seq = asPosition(kind === 'added' ? fields.seq : fields.changedSeq);
  if (fields.isReference !== true) throw new ForeignBodyError('a reference');
  return { kind: 'reference', roomId: asUuid(fields.roomId), seq, epoch, type: asType(fields.type) };
}

/** Whether the fields go together. An addition may be told when its message has been changed since. */
function isPossible(kind: LogEntry['kind'], { seq, changedSeq, type, content, system, deletedAt }: Message): boolean {
  const isDeleted = deletedAt !== null;
  const isWhole = (content === null) === isDeleted && (system !== null) === (type === 'SYSTEM');
  if (kind === 'added') return isWhole && changedSeq >= seq;
  return isWhole && changedSeq > seq && isDeleted === (kind === 'deleted');
}

const asType = (value: unknown): MessageType => asOneOf(value, types);

function asNotice(value: unknown): SystemNotice {
  const { code, userIds } = asFields<keyof SystemNotice>(value);
  return { code: asOneOf(code, codes), userIds: asList(userIds, maxRoomMembers).map(asUserId) };
}

/** By the kind of a field's value. */
const checks = {
  uuid: asUuid,
  text: asText,
  boolean: asBoolean,
  userId: asUserId,
  position: asPosition,
  mark: asMark,
  time: asDate,
  messageType: asType,
  systemNotice: asNotice,
};

function createDecoder<Of extends Shape<keyof typeof checks>>(
  shape: Of,
): (fields: Fields<keyof Of & string>) => Shaped<Of> {
  const checked = Object.entries(shape).map(([name, { kind, isNullable }]) => {
    const as: (value: unknown) => unknown = checks[kind];
    return { name, as: isNullable ? (value: unknown) => orNull(value, as) : as };
  });
  return (fields: Fields<string>) => {
    const object: Record<string, unknown> = {};
    for (const { name, as } of checked) object[name] = as(fields[name]);
    return object as Shaped<Of>;
  };
}

function asDirectKey(value: unknown): string {
  if (typeof value !== 'string' || !/^[1-9]\d{0,9}:[1-9]\d{0,9}$/.test(value))
    throw new ForeignBodyError('a direct key');
  return value;
}

/** A member whose read mark moved. */
export const encodeMember = (member: Member): Uint8Array => encode(member);
export const decodeMember = (body: Uint8Array): Member => asMember(asFields(parseBody(body)));

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

/** That users share a room from here on, or do not any more. */
export interface Acquainting {
  readonly userIds: readonly number[];
  readonly isBegin: boolean;
}
export const encodeAcquainting = (acquainting: Acquainting): Uint8Array => encode(acquainting);
export function decodeAcquainting(body: Uint8Array): Acquainting {
  const { userIds, isBegin } = asFields<keyof Acquainting>(parseBody(body));
  return { userIds: asList(userIds, maxRoomMembers).map(asUserId), isBegin: asBoolean(isBegin) };
}

/** That a user has another name. */
export interface Named {
  readonly userId: number;
}
export const encodeNamed = (named: Named): Uint8Array => encode(named);
export const decodeNamed = (body: Uint8Array): Named => ({
  userId: asUserId(asFields<keyof Named>(parseBody(body)).userId),
});

/** That a user types, or has stopped. */
export interface TypingSignal {
  readonly userId: number;
  readonly isTyping: boolean;
  /** How long ago they said so, where that was not at once. */
  readonly ageMs: number;
  /** Where the room's log stood when it was seen that they may say so, where that was looked at anew. */
  readonly seq?: number | null | undefined;
  /** The instance that heard it from them, which needs not be told. */
  readonly from?: string | undefined;
}
export const encodeTyping = (signal: TypingSignal): Uint8Array => encode(signal);
export function decodeTyping(body: Uint8Array): TypingSignal {
  const { userId, isTyping, ageMs = 0, seq, from } = asFields<keyof TypingSignal>(parseBody(body));
  if (typeof ageMs !== 'number' || !(ageMs >= 0 && ageMs <= typingExpiresInMs)) throw new ForeignBodyError('an age');
  return {
    userId: asUserId(userId),
    isTyping: asBoolean(isTyping),
    ageMs,
    seq: seq == null ? null : asMark(seq),
    from: from === undefined ? undefined : asUuid(from),
  };
}

/** Parts of room logs that a stream has acknowledged, in as many bodies as it takes: none is larger than `maxBytes`. */
export function encodeRanges(ranges: readonly PublishedRange[], maxBytes: number): Uint8Array[] {
  const bodies: string[][] = [];
  let bytes = 0;
  for (const text of ranges.map((range) => JSON.stringify(range))) {
    // All of it is ASCII. With the brackets, and a comma each.
    if (bodies.length === 0 || bytes + text.length + 1 > maxBytes || bodies.at(-1)?.length === maxRanges) {
      bodies.push([]);
      bytes = 2;
    }
    bodies.at(-1)?.push(text);
    bytes += text.length + 1;
  }
  return bodies.map((texts) => encoder.encode(`[${texts.join(',')}]`));
}
export function decodeRanges(body: Uint8Array): PublishedRange[] {
  const ranges = asList(parseBody(body), maxRanges).map((value) => {
    const { roomId, epoch, from, to } = asFields<keyof PublishedRange>(value);
    // Those of a release before this one name none, and no epoch is without a name.
    const inEpoch = epoch === undefined ? '' : asUuid(epoch);
    return { roomId: asUuid(roomId), epoch: inEpoch, from: asPosition(from), to: asPosition(to) };
  });
  let length = 0;
  for (const { from, to } of ranges) {
    // Ranges are walked through: what is longer than an instance can publish between two of its messages is not ours.
    length += to - from + 1;
    if (to < from || length > maxRangeLength) throw new ForeignBodyError('ranges of room logs');
  }
  return ranges.filter(({ epoch }) => epoch !== '');
}

const maxRanges = 1_000;
const maxRangeLength = 100_000;
/** The most that the configuration allows. */
const maxRoomMembers = 10_000;

const kinds: ReadonlySet<LogEntry['kind']> = new Set(['added', 'updated', 'deleted']);
const presenceStatuses: ReadonlySet<Presence['status']> = new Set(['ONLINE', 'OFFLINE']);
const types: ReadonlySet<MessageType> = new Set(messageTypes);
const codes: ReadonlySet<SystemCode> = new Set(systemCodes);

const asMessage = createDecoder(messageShape);
const asMember = createDecoder(memberShape);
