import { describe, expect, it } from 'vitest';
import { assertImageUrl, assertText } from '../../src/domain/content.js';

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
    ['joiners and marks of direction', codes(0x200c, 0x200d, 0x200e, 0x202e, 0x2066), /empty or invisible/],
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
  ])('refuses %j', (url) => {
    expect(() => assertImageUrl(url)).toThrow(expect.objectContaining({ code: 'BAD_USER_INPUT' }));
  });
});
