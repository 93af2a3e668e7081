import { describe, expect, it } from 'vitest';
import type { Message, MessageChange } from '../../src/domain/message.js';
import { toLogEntry } from '../../src/domain/room-log.js';
import {
  decodeEntry,
  decodeMark,
  decodePresence,
  decodeRanges,
  decodeTyping,
  encodeEntry,
  encodeMark,
  encodePresence,
  encodeRanges,
  encodeReference,
  encodeTyping,
} from '../../src/pubsub/nats/encoding.js';
import { EntrySeal } from '../../src/pubsub/nats/entry-seal.js';
import { ForeignBodyError } from '../../src/pubsub/nats/fields.js';

const roomId = '0196f3a0-1234-7abc-8def-0123456789ab';
const epoch = '01a22675-dec2-7d86-a3f6-0a5edf8fad30';
const seal = new EntrySeal(() => new Uint8Array(32));
const sent: Message = {
  id: '0196f3a0-1234-7abc-8def-000000000001',
  roomId,
  seq: 7,
  changedSeq: 7,
  senderId: 4,
  senderName: '김철수',
  type: 'TEXT',
  content: '안녕 👨‍👩‍👧‍👦 "\\\n\u2028',
  system: null,
  createdAt: new Date('2026-11-21T01:02:03.004Z'),
  editedAt: null,
  deletedAt: null,
  attachments: null,
};
const picture = {
  id: '0196f3a0-1234-7abc-8def-000000000002',
  name: '사진.jpg',
  kind: 'IMAGE' as const,
  contentType: 'image/jpeg',
  byteSize: 12_345,
  width: 640,
  height: 480,
  durationMs: null,
  thumbHash: '1QcSHQRnh493V4dIh4eXh1h4kJUI',
  status: 'READY' as const,
  failure: null,
  expiresAt: null,
};

describe('a log entry', () => {
  it.each<[string, MessageChange | null, Message]>([
    ['added', null, sent],
    ['updated', 'EDITED', { ...sent, changedSeq: 9, editedAt: new Date(1), content: '고침' }],
    ['deleted', 'DELETED', { ...sent, changedSeq: 10, editedAt: new Date(1), deletedAt: new Date(2), content: null }],
    ['updated', 'ATTACHMENTS', { ...sent, type: 'IMAGE', content: '', changedSeq: 8, attachments: [picture] }],
    ['added', null, { ...sent, type: 'SYSTEM', system: { code: 'MEMBER_LEFT', userIds: [4] } }],
  ])('for a message that was %s decodes unchanged', (kind, change, message) => {
    const entry = toLogEntry(message, { directKey: '4:9', epoch, change });

    expect(decodeEntry(encodeEntry(seal, entry))).toEqual(entry);
    expect(entry).toMatchObject({ kind, seq: message.changedSeq });
  });

  it('for an added message decodes with its own position, even if the message was changed since', () => {
    const entry = toLogEntry(
      { ...sent, changedSeq: 9, content: '고침' },
      { directKey: null, epoch, change: 'EDITED' },
      7,
    );

    expect(decodeEntry(encodeEntry(seal, entry))).toEqual(entry);
    expect(entry).toMatchObject({ kind: 'added', seq: 7 });
  });

  it('is JSON with the whole message, for other listeners', () => {
    const body = JSON.parse(
      new TextDecoder().decode(encodeEntry(seal, toLogEntry(sent, { directKey: null, epoch, change: null }))),
    ) as unknown;

    expect(body).toEqual({
      ...sent,
      change: null,
      createdAt: '2026-11-21T01:02:03.004Z',
      kind: 'added',
      directKey: null,
      epoch,
      seal: expect.stringMatching(/^[\w-]{43}$/) as string,
    });
  });

  it('does not change a text that looks like a time', () => {
    const message = { ...sent, content: '2026-11-21T01:02:03.004Z', senderName: '2026-11-21T01:02:03.004Z' };

    expect(decodeEntry(encodeEntry(seal, toLogEntry(message, { directKey: null, epoch, change: null })))).toMatchObject(
      { message },
    );
  });
});

const member = {
  id: '0196f3a0-1234-7abc-8def-000000000002',
  roomId,
  userId: 5,
  isAdmin: true,
  joinedAt: new Date(1),
  joinedSeq: 1,
  leftAt: null,
  lastReadSeq: 7,
  lastReadMessageId: sent.id,
  lastReadAt: new Date(2),
  previousSeq: 3,
};

it('a moved read mark decodes unchanged, and one of an earlier release without the previous position', () => {
  expect(decodeMark(encodeMark(member))).toEqual(member);
  const { previousSeq: _, ...earlier } = member;
  expect(decodeMark(new TextEncoder().encode(JSON.stringify(earlier)))).toEqual({ ...earlier, previousSeq: null });
});

it.each([
  { userId: 4, status: 'ONLINE', lastSeenAt: null },
  { userId: 4, status: 'OFFLINE', lastSeenAt: new Date(3) },
] as const)('a presence that is $status decodes unchanged', (presence) => {
  expect(decodePresence(encodePresence(presence))).toEqual(presence);
});

it('a typing signal decodes unchanged', () => {
  const signal = { userId: 4, isTyping: true, ageMs: 20, seq: 7, from: roomId };

  expect(decodeTyping(encodeTyping(signal))).toEqual(signal);
});

it('published ranges decode unchanged', () => {
  const ranges = [{ roomId, epoch, from: 1, to: 3 }];

  expect(encodeRanges(ranges, 1_000).map(decodeRanges)).toEqual([ranges]);
});

it('published ranges are divided over as many bodies as needed', () => {
  const ranges = Array.from({ length: 3_500 }, (_, index) => ({ roomId, epoch, from: index + 1, to: index + 1 }));
  const sizesOf = (bodies: readonly Uint8Array[]) => bodies.map((body) => body.length);

  const [small, large] = [encodeRanges(ranges, 500), encodeRanges(ranges, 1_000_000)];

  expect(Math.max(...sizesOf(small))).toBeLessThanOrEqual(500);
  expect(Math.min(...sizesOf(small.slice(0, -1)))).toBeGreaterThan(400);
  expect(large).toHaveLength(4);
  for (const bodies of [small, large]) expect(bodies.flatMap(decodeRanges)).toEqual(ranges);
  expect(encodeRanges([], 500)).toEqual([]);
});

it('a reference to an entry has its position, but not its content', () => {
  const change = { ...sent, changedSeq: 9, editedAt: new Date(1) };
  const bodies = [
    encodeReference(seal, toLogEntry(sent, { directKey: null, epoch, change: null })),
    encodeReference(seal, toLogEntry(change, { directKey: null, epoch, change: 'EDITED' })),
  ];

  expect(bodies.map(decodeEntry)).toEqual([
    { kind: 'reference', roomId, seq: 7, epoch, type: 'TEXT' },
    { kind: 'reference', roomId, seq: 9, epoch, type: 'TEXT' },
  ]);
  const body = JSON.parse(new TextDecoder().decode(bodies[0])) as Record<string, unknown>;
  expect(body).toMatchObject({ id: sent.id, kind: 'added', isReference: true });
  expect(Object.keys(body).sort()).toEqual(
    // Every field of a fixed size.
    [
      ...['id', 'roomId', 'seq', 'changedSeq', 'senderId', 'type', 'createdAt', 'editedAt', 'deletedAt'],
      ...['kind', 'directKey', 'epoch', 'isReference', 'seal'],
    ].sort(),
  );
});

describe('a body in another format', () => {
  const toBody = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
  const noText = [undefined, 5, {}, [], true, 'a\0b', '\ud800'];
  const noUserId = [undefined, null, '4', 0, -1, 1.5, 2 ** 31, 1e300, {}];
  const noPosition = noUserId;
  const noMark = [undefined, null, '4', -1, 0.5, 2 ** 31];
  const noUuid = [undefined, null, 7, '', 'x.>', sent.id.toUpperCase(), `${sent.id} `, `{${sent.id}}`];
  const noDate = [undefined, 5, '', 'soon', '2026-11-21', '2026-11-21T01:02:03Z', '2026-02-30T00:00:00.000Z', {}];
  const entry = { ...sent, kind: 'added', directKey: '4:9', epoch };
  const entries = {
    kind: [undefined, null, 'ready', 'read', 'toString', 5],
    id: noUuid,
    roomId: noUuid,
    seq: noPosition,
    changedSeq: [...noPosition, 6],
    senderId: noUserId,
    senderName: [...noText, null],
    type: [undefined, null, 'text', 'VIDEO', 'SYSTEM'],
    attachments: [
      [{}],
      [{ ...picture, status: 'DONE' }],
      [{ ...picture, byteSize: -1 }],
      'x',
      Array.from({ length: 11 }, () => picture),
    ],
    content: [...noText, null],
    system: [undefined, 'x', {}, { code: 'MEMBER_LEFT', userIds: [4] }],
    createdAt: [...noDate, null],
    editedAt: noDate,
    deletedAt: [...noDate, '2026-11-21T01:02:03.004Z'],
    directKey: [undefined, '', '4', '4:x', '0:4', 5],
    epoch: noUuid.slice(1),
  } satisfies Record<keyof typeof entry, unknown[]>;
  const notice = { code: 'MEMBERS_JOINED', userIds: [4] };
  const systems = [
    null,
    { ...notice, code: 'HELLO' },
    { code: 'MEMBERS_JOINED' },
    { ...notice, userIds: ['4'] },
    { ...notice, userIds: { length: 1 } },
    { ...notice, userIds: Array.from({ length: 10_001 }, () => 4) },
  ];
  const members = {
    id: noUuid,
    roomId: noUuid,
    userId: noUserId,
    isAdmin: [undefined, null, 1, 'true'],
    joinedAt: [...noDate, null],
    joinedSeq: noMark,
    leftAt: noDate,
    lastReadSeq: noMark,
    lastReadMessageId: [undefined, 7, 'x'],
    lastReadAt: noDate,
    previousSeq: ['4', -1, 0.5, 2 ** 31],
  } satisfies Record<keyof typeof member, unknown[]>;
  const presences = { userId: noUserId, status: [undefined, 'AWAY', 1], lastSeenAt: noDate };
  const signals = {
    userId: noUserId,
    isTyping: [undefined, null, 1, 'true'],
    ageMs: [null, '5', -1, 6_001, {}],
    from: [null, 5, 'here'],
  };
  const ranges = {
    roomId: noUuid,
    from: [...noPosition, 4],
    to: [...noPosition, 2 ** 31 - 1],
  };
  const spoil = (good: object, bad: Record<string, unknown[]>) =>
    Object.entries(bad).flatMap(([name, values]) => values.map((value) => ({ ...good, [name]: value })));

  it.each([
    ['an entry', decodeEntry, spoil(entry, entries)],
    ['a system entry', decodeEntry, spoil({ ...entry, type: 'SYSTEM', system: notice }, { system: systems })],
    [
      'a change',
      decodeEntry,
      spoil({ ...entry, kind: 'updated', changedSeq: 9 }, { changedSeq: [7], kind: ['deleted'] }),
    ],
    ['a member', decodeMark, spoil(member, members)],
    ['a presence', decodePresence, spoil({ userId: 4, status: 'ONLINE', lastSeenAt: null }, presences)],
    ['a typing signal', decodeTyping, spoil({ userId: 4, isTyping: true, ageMs: 0 }, signals)],
    [
      'a range',
      (body: Uint8Array) => decodeRanges(body),
      spoil({ roomId, epoch, from: 1, to: 3 }, ranges).map((it) => [it]),
    ],
    [
      'a reference',
      decodeEntry,
      spoil({ ...entry, isReference: true }, { isReference: [false, null, 1], seq: noPosition, roomId: noUuid }),
    ],
    ['ranges', decodeRanges, [{}, Array.from({ length: 1_001 }, () => ({ roomId, from: 1, to: 1 }))]],
    ['ranges that are too long together', decodeRanges, [[1, 2].map(() => ({ roomId, from: 1, to: 60_000 }))]],
  ])('is refused if it is almost %s', (_name, decode: (body: Uint8Array) => unknown, bodies: unknown[]) => {
    for (const body of bodies) expect(() => decode(toBody(body)), JSON.stringify(body)).toThrow(ForeignBodyError);
  });

  const decoders = { decodeEntry, decodeMark, decodePresence, decodeTyping, decodeRanges };
  it.each(Object.entries(decoders))('is refused by %s if it is not JSON of the expected kind', (_name, decode) => {
    const bodies = ['', 'null', '5', '"x"', '{', '[null]', '\ufeff{}'].map((text) => new TextEncoder().encode(text));
    const notUtf8 = Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xff]), Buffer.from('"}')]);
    for (const body of [...bodies, notUtf8]) expect(() => decode(body)).toThrow(ForeignBodyError);
  });

  it('is read as a reference if it names no epoch, like those of an earlier release', () => {
    const { epoch: _epoch, ...old } = entry;

    expect(decodeEntry(toBody(old))).toEqual({ kind: 'reference', roomId, seq: 7, epoch: null, type: 'TEXT' });
    expect(decodeRanges(toBody([{ roomId, from: 1, to: 3 }]))).toEqual([]);
  });

  it('decodes only to the known fields', () => {
    const more = { ...entry, sender: { id: 1, name: '관리자' }, readCount: 9, __proto__: { x: 1 } };

    expect(decodeEntry(toBody(more))).toEqual({
      kind: 'added',
      change: null,
      seq: 7,
      message: sent,
      directKey: '4:9',
      epoch,
    });
  });
});
