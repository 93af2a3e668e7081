import { describe, expect, it } from 'vitest';
import type { Message } from '../../src/domain/message.js';
import { toLogEntry } from '../../src/domain/room-log.js';
import {
  decodeEntry,
  decodeMember,
  decodeRanges,
  encodeEntry,
  encodeMember,
  encodeRanges,
} from '../../src/pubsub/encoding.js';

const roomId = '0196f3a0-1234-7abc-8def-0123456789ab';
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
};

describe('a log entry', () => {
  it.each<[string, Message]>([
    ['added', sent],
    ['updated', { ...sent, changedSeq: 9, editedAt: new Date(1), content: '고침' }],
    ['deleted', { ...sent, changedSeq: 10, editedAt: new Date(1), deletedAt: new Date(2), content: null }],
    ['added', { ...sent, type: 'SYSTEM', system: { code: 'MEMBER_LEFT', userIds: [4] } }],
  ])('that tells of a message %s comes back as it was', (kind, message) => {
    const entry = toLogEntry(message, '4:9');

    expect(decodeEntry(encodeEntry(entry))).toEqual(entry);
    expect(entry).toMatchObject({ kind, seq: message.changedSeq });
  });

  it('that tells of an adding comes back with its own position, though the message was changed since', () => {
    const entry = toLogEntry({ ...sent, changedSeq: 9, content: '고침' }, null, 7);

    expect(decodeEntry(encodeEntry(entry))).toEqual(entry);
    expect(entry).toMatchObject({ kind: 'added', seq: 7 });
  });

  it('is JSON with the whole message, for whoever else listens', () => {
    const body = JSON.parse(new TextDecoder().decode(encodeEntry(toLogEntry(sent, null)))) as unknown;

    expect(body).toEqual({ ...sent, createdAt: '2026-11-21T01:02:03.004Z', kind: 'added', directKey: null });
  });

  it('leaves a text alone that looks like a time', () => {
    const message = { ...sent, content: '2026-11-21T01:02:03.004Z', senderName: '2026-11-21T01:02:03.004Z' };

    expect(decodeEntry(encodeEntry(toLogEntry(message, null))).message).toEqual(message);
  });
});

it('a member comes back as they were', () => {
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
  };

  expect(decodeMember(encodeMember(member))).toEqual(member);
});

it('published ranges come back as they were', () => {
  const ranges = [{ roomId, from: 1, to: 3 }];

  expect(decodeRanges(encodeRanges(ranges))).toEqual(ranges);
});
