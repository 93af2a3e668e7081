import { describe, expect, it } from 'vitest';
import { assertImageUrl, assertText, parseName, readName } from '../../src/domain/content.js';

const codes = (...points: number[]) => String.fromCodePoint(...points);

describe('assertText', () => {
  it.each([
    ['one character', 'a'],
    ['Korean', '안녕하세요'],
    ['text with white space around it', '  안녕\n\t'],
    ['an emoji of several code points', '👨‍👩‍👧‍👦'],
    ['an emoji with a variation selector', '❤️'],
    ['a keycap', '1️⃣'],
    ['text from right to left with marks', `שלום${codes(0x200f)}`],
    ['a combining accent', 'e\u0301'],
    ['10 code points of two units each', '😀'.repeat(10)],
    ['control characters among others', 'a\u0007b'],
  ])('accepts %s', (_what, text) => {
    expect(() => assertText(text, 'content', 10)).not.toThrow();
  });

  it.each([
    ['nothing', '', /content must not be empty/],
    ['white space', ' \t\r\n\u3000', /empty or invisible/],
    ['a zero-width space', codes(0x200b), /empty or invisible/],
    ['joiners and direction marks', codes(0x200c, 0x200d, 0x200e, 0x202e, 0x2066), /empty or invisible/],
    ['a byte order mark', codes(0xfeff), /empty or invisible/],
    ['a Hangul filler', codes(0x3164), /empty or invisible/],
    ['a braille blank', codes(0x2800), /empty or invisible/],
    ['a variation selector alone', codes(0xfe0f), /empty or invisible/],
    ['a selector of the supplement', codes(0xe0100), /empty or invisible/],
    ['a grapheme joiner', codes(0x034f), /empty or invisible/],
    ['control characters alone', '\u0001\u0007', /empty or invisible/],
    ['NUL', 'a\0b', /content must not contain NUL/],
    ['half an emoji', '\ud83d', /lone surrogates/],
    ['its other half', 'a\ude00', /lone surrogates/],
    ['the halves in the wrong order', '\ude00\ud83d', /lone surrogates/],
    ['11 code points', 'a'.repeat(11), /at most 10 characters/],
    ['11 code points of two units each', '😀'.repeat(11), /at most 10 characters/],
    ['a text too long to count', 'a'.repeat(1_000_000), /at most 10 characters/],
  ])('refuses %s', (_what, text, message) => {
    expect(() => assertText(text, 'content', 10)).toThrow(
      expect.objectContaining({ code: 'BAD_USER_INPUT', message: expect.stringMatching(message) }),
    );
  });
});

describe('assertImageUrl', () => {
  it.each(['https://example.com/a.jpg', 'https://example.com:8443/사진.png?size=2#top', 'HTTPS://EXAMPLE.COM/'])(
    'accepts %s',
    (url) => {
      expect(() => assertImageUrl(url)).not.toThrow();
    },
  );

  it.each([
    '',
    'a.jpg',
    '/a.jpg',
    '//example.com/a.jpg',
    'http://example.com/a.jpg',
    'data:image/png;base64,AA',
    'javascript:alert(1)',
    'https://',
    'https://user@example.com/a.jpg',
    'https://:secret@example.com/a.jpg',
    ' https://example.com/a.jpg',
    'https://example.com/a b.jpg',
    'https://example.com/a.jpg\n',
    'https:example.com/a.png',
    'https:/example.com/a.png',
    'https:\\\\example.com/a.png',
    'https:/\\example.com/a.png',
    'https://\\example.com/a.png',
    'https:///example.com/a.png',
    '\u0001https://example.com/a.png',
    'https://exam\tple.com/a.png',
    'https://example.com/a\u0001.png',
    'https://example.com\\@evil.example/a.png',
    'https://?a.png',
    'https://#a.png',
  ])('refuses %j', (url) => {
    expect(() => assertImageUrl(url)).toThrow(expect.objectContaining({ code: 'BAD_USER_INPUT' }));
  });
});

/** Every kind of character that is invisible on its own. */
const invisible = [
  0x00ad, 0x034f, 0x061c, 0x115f, 0x1160, 0x17b4, 0x17b5, 0x180b, 0x180e, 0x180f, 0x200b, 0x200d, 0x202e, 0x2060,
  0x2065, 0x206f, 0x2800, 0x3164, 0xfe00, 0xfe0f, 0xfeff, 0xffa0, 0xfff0, 0xfff8, 0xfff9, 0x1bca0, 0x1d173, 0xe0000,
  0xe0001, 0xe0020, 0xe0100, 0xe0fff,
];

describe('an invisible character', () => {
  it.each(invisible.map((point) => [`U+${point.toString(16).toUpperCase().padStart(4, '0')}`, codes(point)]))(
    '%s counts as nothing in texts, names and hints alike',
    (_what, text) => {
      expect(() => assertText(` ${text}`, 'content', 10)).toThrow(/empty or invisible/);
      expect(() => parseName(`${text} `, 'name')).toThrow(/empty or invisible/);
      expect(readName(text.repeat(2))).toBeNull();
    },
  );
});

describe('parseName', () => {
  it.each([
    ['keeps ordinary names', '김철수 (Élodie) 👩‍👧', '김철수 (Élodie) 👩‍👧'],
    ['composes decomposed characters', '\u1112\u1161\u11ab E\u0301', '한 É'],
    [
      'joins the lines of a name into one',
      '가\r\n관리자님이 나갔습니다.\u2028나\t다',
      '가 관리자님이 나갔습니다. 나 다',
    ],
    [
      'drops controls that change the direction of the surrounding text',
      `a${codes(0x202e)}b${codes(0x2066)}c${codes(0x202c)}`,
      'abc',
    ],
    ['keeps a direction mark', `שלום${codes(0x200f)}!`, `שלום${codes(0x200f)}!`],
    ['drops controls', 'a\0b\u0007c\u009f', 'abc'],
    ['drops surrounding white space', ' \n이영희 ', '이영희'],
    ['takes 100 code points', '😀'.repeat(100), '😀'.repeat(100)],
    ['counts the characters that are stored', `${'\u1112\u1161\u11ab'.repeat(100)}`, '한'.repeat(100)],
  ])('%s', (_what, given, stored) => {
    expect(parseName(given, 'name')).toBe(stored);
    expect(readName(given)).toBe(stored);
  });

  it.each([
    ['101 code points', '😀'.repeat(101), /at most 100 characters/],
    ['half an emoji', 'a\ud83d', /lone surrogates/],
    ['controls alone', '\0\n\u0007', /empty or invisible/],
  ])('refuses %s', (_what, text, message) => {
    expect(() => parseName(text, 'name')).toThrow(
      expect.objectContaining({ code: 'BAD_USER_INPUT', message: expect.stringMatching(message) }),
    );
    expect(readName(text)).toBeNull();
  });
});

describe('readName', () => {
  it.each([undefined, null, 5, '', ' ', ['가'], { name: '가' }])('treats %j as no name', (value) => {
    expect(readName(value)).toBeNull();
  });
});
