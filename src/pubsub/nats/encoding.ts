import {
  changeKinds,
  type Message,
  type MessageChange,
  type MessageType,
  maxRoomMembers,
  messageShape,
} from '../../domain/message.js';
import type { Presence } from '../../domain/presence.js';
import { entryKinds, type LogEntry, type MarkMove, memberShape, type PublishedRange } from '../../domain/room-log.js';
import type { Field, ListOf, ObjectOf, OneOf, Shape, Shaped } from '../../domain/shape.js';
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
 * Each decoder below throws a ForeignBodyError unless every field is present, has its type and is in its range; unknown fields
 * are dropped. Any NATS client may publish any body, and every subscriber sees a decoded one.
 */

/**
 * The body of a log entry: the whole message in JSON, with the entry's `kind`. `seq` is the message's own position and
 * `changedSeq` that of its last change, which is the entry's position where the kind is not "added".
 */
export const encodeEntry = (seal: EntrySeal, { kind, change, message, directKey, epoch }: LogEntry): Uint8Array =>
  encodeSealed(seal, { ...message, kind, change, directKey, epoch });

/** Published instead of an entry that exceeds the maximum size of a NATS message: its position without its content. */
export interface EntryReference {
  readonly kind: 'reference';
  readonly roomId: string;
  readonly seq: number;
  /** Null if an earlier release published it. */
  readonly epoch: string | null;
  /** Only SYSTEM messages change memberships. */
  readonly type: MessageType;
}

export const roomOf = (entry: LogEntry | EntryReference): string =>
  entry.kind === 'reference' ? entry.roomId : entry.message.roomId;

/** The entry with `isReference: true` and only the message's fields of a fixed size: receivers read the others from the database. */
export function encodeReference(seal: EntrySeal, { kind, message, directKey, epoch }: LogEntry): Uint8Array {
  const { id, roomId, seq, changedSeq, senderId, type, createdAt, editedAt, deletedAt } = message;
  const fixed = { id, roomId, seq, changedSeq, senderId, type, createdAt, editedAt, deletedAt };
  return encodeSealed(seal, { ...fixed, kind, directKey, epoch, isReference: true });
}

/** Decodes a body in a few microseconds. Does not check its origin: see `EntrySeal`. */
export function decodeEntry(body: Uint8Array): LogEntry | EntryReference {
  const fields = asFields<keyof Message | 'kind' | 'change' | 'directKey' | 'epoch' | 'isReference'>(parseBody(body));
  const kind = asOneOf(fields.kind, kinds);
  const epoch = fields.epoch === undefined ? null : asUuid(fields.epoch);
  if (fields.isReference !== undefined) return asReference(kind, epoch, fields);
  // An earlier release sends neither attachments nor what has changed.
  const message = asMessage({ ...fields, attachments: fields.attachments ?? null });
  const change = fields.change === undefined ? usualChanges[kind] : orNull(fields.change, asChange);
  if ((change === null ? 'added' : changeKinds[change]) !== kind) throw new ForeignBodyError('a change of this kind');
  if (!isPossible(kind, message)) throw new ForeignBodyError('an entry of a room log');
  const seq = kind === 'added' ? message.seq : message.changedSeq;
  const directKey = orNull(fields.directKey, asDirectKey);
  // An earlier release published it: the position is known, but not its epoch.
  if (epoch === null) return { kind: 'reference', roomId: message.roomId, seq, epoch, type: message.type };
  return { kind, change, seq, message, directKey, epoch };
}

const usualChanges = { added: null, updated: 'EDITED', deleted: 'DELETED' } as const;

function asReference(
  kind: LogEntry['kind'],
  epoch: string | null,
  fields: Fields<keyof Message | 'isReference'>,
): EntryReference {
  const seq = asPosition(kind === 'added' ? fields.seq : fields.changedSeq);
  if (fields.isReference !== true) throw new ForeignBodyError('a reference');
  return { kind: 'reference', roomId: asUuid(fields.roomId), seq, epoch, type: asType(fields.type) };
}

/** Whether the fields are consistent. An "added" entry may contain a message that was changed since. */
function isPossible(kind: LogEntry['kind'], { seq, changedSeq, type, content, system, deletedAt }: Message): boolean {
  const isDeleted = deletedAt !== null;
  const isWhole = (content === null) === isDeleted && (system !== null) === (type === 'SYSTEM');
  if (kind === 'added') return isWhole && changedSeq >= seq;
  return isWhole && changedSeq > seq && isDeleted === (kind === 'deleted');
}

const changes = new Set(Object.keys(changeKinds) as MessageChange[]);
const asChange = (value: unknown): MessageChange => asOneOf(value, changes);
const asType = (value: unknown): MessageType => asOneOf(value, messageShape.type.all);

/** By the kind of a field's value. */
const checks = {
  uuid: asUuid,
  text: asText,
  boolean: asBoolean,
  userId: asUserId,
  position: asPosition,
  mark: asMark,
  time: asDate,
};
type Kind = keyof typeof checks | 'oneOf' | 'listOf' | 'objectOf';
type BodyField =
  | Field<unknown, keyof typeof checks>
  | OneOf<string>
  | ListOf<Field<unknown, Kind>>
  | ObjectOf<Shape<Kind>>;

function createCheck(field: Field<unknown, Kind>): (value: unknown) => unknown {
  const as = createValueCheck(field as BodyField);
  return field.isNullable ? (value) => orNull(value, as) : as;
}

function createValueCheck(field: BodyField): (value: unknown) => unknown {
  if (field.kind === 'oneOf') return (value) => asOneOf(value, field.all);
  if (field.kind === 'listOf') {
    const as = createCheck(field.item);
    return (value) => asList(value, field.max).map(as);
  }
  if (field.kind === 'objectOf') {
    const decode = createDecoder(field.shape);
    return (value) => decode(asFields(value));
  }
  return checks[field.kind];
}

function createDecoder<Of extends Shape<Kind>>(shape: Of): (fields: Fields<keyof Of & string>) => Shaped<Of> {
  const checked = Object.entries(shape).map(([name, field]) => ({ name, as: createCheck(field) }));
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

export const encodeMark = (mark: MarkMove): Uint8Array => encode(mark);
export function decodeMark(body: Uint8Array): MarkMove {
  const fields = asFields<keyof MarkMove>(parseBody(body));
  // An earlier release sends no previousSeq.
  return { ...asMember(fields), previousSeq: orNull(fields.previousSeq ?? null, asMark) };
}

export const encodePresence = (presence: Presence): Uint8Array => encode(presence);
export function decodePresence(body: Uint8Array): Presence {
  const { userId, status, lastSeenAt } = asFields<keyof Presence>(parseBody(body));
  return {
    userId: asUserId(userId),
    status: asOneOf(status, presenceStatuses),
    lastSeenAt: orNull(lastSeenAt, asDate),
  };
}

/** Users joined a room, or left it. */
export interface MembersSignal {
  readonly userIds: readonly number[];
  readonly isBegin: boolean;
}
export const encodeMembersSignal = (signal: MembersSignal): Uint8Array => encode(signal);
export function decodeMembersSignal(body: Uint8Array): MembersSignal {
  const { userIds, isBegin } = asFields<keyof MembersSignal>(parseBody(body));
  return { userIds: asList(userIds, maxRoomMembers).map(asUserId), isBegin: asBoolean(isBegin) };
}

/** A user's name changed. */
export interface Named {
  readonly userId: number;
  /** The publishing instance, which ignores the signal when it comes back. */
  readonly from?: string | undefined;
}
export const encodeNamed = (named: Named): Uint8Array => encode(named);
export function decodeNamed(body: Uint8Array): Named {
  const { userId, from } = asFields<keyof Named>(parseBody(body));
  return { userId: asUserId(userId), from: from === undefined ? undefined : asUuid(from) };
}

/** A user began or stopped typing. */
export interface TypingSignal {
  readonly userId: number;
  readonly isTyping: boolean;
  /** The age of the signal when it was published. */
  readonly ageMs: number;
  /** The head of the room's log when the user's permission was checked; absent if this signal needed no new check. */
  readonly seq?: number | null | undefined;
  /** The publishing instance, which ignores the signal when it comes back. */
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

/** Encodes ranges that the stream has acknowledged, in as many bodies as needed: none is larger than `maxBytes`. */
export function encodeRanges(ranges: readonly PublishedRange[], maxBytes: number): Uint8Array[] {
  const bodies: string[][] = [];
  let bytes = 0;
  for (const text of ranges.map((range) => JSON.stringify(range))) {
    // The text is ASCII, so its length is its size. Each range takes a comma, each body two brackets.
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
    // An earlier release sends no epoch; its ranges are dropped below.
    const inEpoch = epoch === undefined ? '' : asUuid(epoch);
    return { roomId: asUuid(roomId), epoch: inEpoch, from: asPosition(from), to: asPosition(to) };
  });
  let length = 0;
  for (const { from, to } of ranges) {
    // Receivers loop over ranges. No instance acknowledges more than this between two of its messages.
    length += to - from + 1;
    if (to < from || length > maxRangeLength) throw new ForeignBodyError('ranges of room logs');
  }
  return ranges.filter(({ epoch }) => epoch !== '');
}

const maxRanges = 1_000;
const maxRangeLength = 100_000;

const kinds: ReadonlySet<LogEntry['kind']> = new Set(entryKinds);
const presenceStatuses: ReadonlySet<Presence['status']> = new Set(['ONLINE', 'OFFLINE']);

const asMessage = createDecoder(messageShape);
const asMember = createDecoder(memberShape);
