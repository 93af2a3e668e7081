import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { EnterToSend } from '../src/composer/enter.js';

/** A field with an input method: what it holds, and what was sent from it. */
function createField() {
  const sent: string[] = [];
  const field = { value: '' };
  const enter = new EnterToSend(() => {
    if (field.value.trim() === '') return;
    sent.push(field.value);
    field.value = '';
  });
  const key = (over: Partial<KeyboardEvent> = {}) =>
    enter.keyDown({ key: 'Enter', code: 'Enter', keyCode: 13, shiftKey: false, isComposing: false, ...over });
  const compose = (text: string) => {
    enter.compositionStart();
    enter.compositionUpdate(text);
    field.value += text;
  };
  return { field, sent, enter, key, compose };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('one Enter sends one whole message while a syllable is composed', () => {
  it.each([
    [
      'in Chromium: the key first, then the end',
      ({ key, enter }: ReturnType<typeof createField>) => {
        key({ keyCode: 229, isComposing: true });
        enter.compositionEnd('요');
      },
    ],
    [
      'on macOS: the key, the end, and the key again',
      ({ key, enter }: ReturnType<typeof createField>) => {
        key({ keyCode: 229, isComposing: true });
        enter.compositionEnd('요');
        key();
      },
    ],
    [
      'in Safari: the end first, then the key',
      ({ key, enter }: ReturnType<typeof createField>) => {
        enter.compositionEnd('요');
        key({ keyCode: 229 });
      },
    ],
    [
      'on Windows: the key is called Process',
      ({ key, enter }: ReturnType<typeof createField>) => {
        key({ key: 'Process', keyCode: 229, isComposing: true });
        enter.compositionEnd('요');
      },
    ],
    [
      'in Firefox: the end comes a moment later',
      ({ key, enter }: ReturnType<typeof createField>) => {
        key({ key: 'Process', keyCode: 229, isComposing: true });
        vi.advanceTimersByTime(30);
        enter.compositionEnd('요');
        vi.advanceTimersByTime(30);
        key();
      },
    ],
  ])('%s', (_name, press) => {
    const field = createField();
    field.field.value = '안녕하세';
    field.compose('요');
    press(field);
    vi.runAllTimers();
    expect(field.sent).toEqual(['안녕하세요']);
    expect(field.field.value).toBe('');
  });
});

describe('the Enter that ends a composition sends nothing', () => {
  it.each([
    ['Japanese', '日本'],
    ['Chinese', '你好'],
    ['kana', 'こんにちは'],
  ])('in %s, in either order, but the next one does', (_name, text) => {
    for (const isKeyFirst of [true, false]) {
      const { compose, key, enter, sent, field } = createField();
      compose(text);
      if (isKeyFirst) {
        key({ keyCode: 229, isComposing: true });
        enter.compositionEnd(text);
      } else {
        enter.compositionEnd(text);
        key({ keyCode: 229 });
      }
      vi.runAllTimers();
      expect(sent).toEqual([]);
      key();
      vi.runAllTimers();
      expect(sent).toEqual([text]);
      expect(field.value).toBe('');
    }
  });
});

it('sends at Enter without a composition, makes a line with Shift, and sends nothing of blanks', () => {
  const { field, key, sent } = createField();
  field.value = 'hello';
  expect(key({ shiftKey: true })).toBe(false);
  expect(key()).toBe(true);
  expect(key()).toBe(true);
  vi.runAllTimers();
  expect(sent).toEqual(['hello']);
  field.value = '  ';
  key();
  vi.runAllTimers();
  expect(sent).toEqual(['hello']);
});

it('sends what is being composed when its field goes away right after the Enter', () => {
  const { field, key, enter, sent, compose } = createField();
  field.value = '안녕하세';
  compose('요');
  key({ keyCode: 229, isComposing: true });
  enter.leave();
  vi.runAllTimers();
  expect(sent).toEqual(['안녕하세요']);
});

it('sends what was there at the Enter, without what is typed before the page gets to it', () => {
  const { field, key, enter, sent, compose } = createField();
  field.value = '안녕하세';
  compose('요');
  key({ keyCode: 229, isComposing: true });
  enter.compositionEnd('요');
  key({ key: 'a', code: 'KeyA', keyCode: 65 });
  field.value += 'a';
  vi.runAllTimers();
  expect(sent).toEqual(['안녕하세요']);
  expect(field.value).toBe('a');
});
