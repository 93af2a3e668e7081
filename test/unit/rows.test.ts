import { describe, expect, it } from 'vitest';
import { MemberOfValues } from '../../src/db/rows.js';

describe('a member who was read along', () => {
  const id = '0198c1a0-0000-7000-8000-000000000001';

  it('says what was asked for', () => {
    const member = new MemberOfValues('room', [4, true, 1, 7, 'kim', id, null, null, 1.5], ['id', 'lastReadAt']);

    expect([member.user, member.isAdmin, member.lastReadSeq]).toEqual([{ id: 4, name: 'kim' }, true, 7]);
    expect([member.id, member.lastReadAt]).toEqual([id, new Date(1_500)]);
  });

  it('does not take for null what was not asked for', () => {
    const member = new MemberOfValues('room', [4, true, 1, 7, null, null, null, null, null], ['id']);

    expect(() => member.lastReadAt).toThrow('was not asked for');
    expect(() => member.lastReadMessageId).toThrow('was not asked for');
    expect(() => member.joinedAt).toThrow('was not asked for');
  });
});
