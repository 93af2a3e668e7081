import { ChatError } from './errors.js';

/** White space, and characters that show nothing on their own: joiners, marks of direction, fillers, variation selectors. */
const onlyInvisible =
  /^(?:[\s\p{Cc}\p{Cf}\p{Zs}\u115F\u1160\u3164\uFFA0\u2800]|[\u{FE00}-\u{FE0F}\u{E0100}-\u{E01EF}]|\u034F)*$/u;

/**
 * Stored and returned as it is. The limit counts code points.
 * @throws {ChatError} BAD_USER_INPUT where it is empty, invisible, too long, or not text that can be stored
 */
export function assertText(text: string, what: string, maxLength: number): void {
  if (text.includes('\0')) throw badInput(`${what} must not contain NUL`);
  if (!text.isWellFormed()) throw badInput(`${what} must not contain lone surrogates`);
  // A code point has at most two UTF-16 units: what is longer need not be counted.
  const length = text.length > maxLength * 2 ? text.length : [...text].length;
  if (length > maxLength) throw badInput(`${what} must have at most ${maxLength} characters`);
  if (onlyInvisible.test(text)) throw badInput(`${what} must not be empty or invisible`);
}

/** @throws {ChatError} BAD_USER_INPUT unless it is an absolute https URL without credentials */
export function assertImageUrl(text: string): void {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url?.protocol !== 'https:' || url.username !== '' || url.password !== '' || /\s/.test(text)) {
    throw badInput('content of an IMAGE must be an absolute https URL');
  }
}

const badInput = (message: string) => new ChatError('BAD_USER_INPUT', message);
