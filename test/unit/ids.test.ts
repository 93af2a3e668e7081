import { describe, expect, it } from 'vitest';
import { isUserId, parseUserId, parseUuid } from '../../src/domain/ids.js';

describe('parseUuid', () => {
  it.each([
    ['0196f3a0-1234-7abc-8def-0123456789ab', '0196f3a0-1234-7abc-8def-0123456789ab'],
    ['0196F3A0-1234-7ABC-8DEF-0123456789AB', '0196f3a0-1234-7abc-8def-0123456789ab'],
    ['00000000-0000-0000-0000-000000000000', '00000000-0000-0000-0000-000000000000'],
  ])('reads %s', (text, uuid) => {
    expect(parseUuid(text, 'id')).toBe(uuid);
  });

  it.each([
    '',
    '1',
    '*',
    '>',
    'a.b.>',
    '0196f3a012347abc8def0123456789ab',
    '{0196f3a0-1234-7abc-8def-0123456789ab}',
    ' 0196f3a0-1234-7abc-8def-0123456789ab',
    '0196f3a0-1234-7abc-8def-0123456789ab\n',
    '0196f3a0-1234-7abc-8def-0123456789a',
    '0196f3a0-1234-7abc-8def-0123456789abc',
    '0196f3a0-1234-7abc-8def-0123456789ag',
    '0196f3a0.1234.7abc.8def.0123456789ab',
    '０196f3a0-1234-7abc-8def-0123456789ab',
  ])('refuses %j', (text) => {
    expect(() => parseUuid(text, 'roomId')).toThrow(
      expect.objectContaining({ code: 'BAD_USER_INPUT', message: 'roomId must be a UUID' }),
    );
  });
});

describe('parseUserId', () => {
  it.each([
    ['1', 1],
    ['42', 42],
    ['2147483647', 2_147_483_647],
  ])('reads %s', (text, id) => {
    expect(parseUserId(text, 'userId')).toBe(id);
  });

  it.each(['', '0', '-1', '+1', '01', '1.0', '1e3', '0x10', ' 1', '1 ', '2147483648', '99999999999', '٣', 'NaN'])(
    'refuses %j',
    (text) => {
      expect(isUserId(text)).toBe(false);
      expect(() => parseUserId(text, 'userId')).toThrow(
        expect.objectContaining({ code: 'BAD_USER_INPUT', message: "userId must be a user's number" }),
      );
    },
  );
});
