import { ChatError } from './errors.js';

/**
 * Text that shows nothing: white space, controls, Unicode's default-ignorable characters (joiners, direction marks, fillers,
 * selectors, tags), interlinear annotations, and the braille blank.
 */
const blank = /^[\s\p{Cc}\p{Default_Ignorable_Code_Point}\uFFF9-\uFFFB\u2800]*$/u;

/** In code points, for the names of users and of rooms. */
export const maxNameLength = 100;

/**
 * Checks a text that is stored unchanged. `maxLength` is in code points.
 * @throws {ChatError} BAD_USER_INPUT if it is empty, invisible, too long, or cannot be stored as text
 */
export function assertText(text: string, what: string, maxLength: number): void {
  if (text.includes('\0')) throw badInput(`${what} must not contain NUL`);
  assertShown(text, what, maxLength);
}

/**
 * The name in the form in which it is stored: NFC, on one line, without controls and without characters that change the
 * direction of the text around it.
 * @throws {ChatError} BAD_USER_INPUT if nothing visible is left, or it is too long
 */
export function parseName(text: string, what: string): string {
  const name = cleanName(text);
  assertShown(name, what, maxNameLength);
  return name;
}

/** The same for an optional name, as in a token: null if it is invalid. */
export function readName(value: unknown): string | null {
  if (typeof value !== 'string') return null;
  const name = cleanName(value);
  return findFault(name, maxNameLength) === null ? name : null;
}

/** In code points, as file systems have it in bytes. */
export const maxFileNameLength = 255;

/**
 * The name of a file in the form in which it is stored: as `parseName`, and without the folders in front of it.
 * @throws {ChatError} BAD_USER_INPUT if nothing visible is left, or it is too long
 */
export function parseFileName(text: string): string {
  const name = cleanName(text.replace(/^.*[/\\]/s, ''));
  assertShown(name, 'name', maxFileNameLength);
  if (/^\.+$/.test(name)) throw badInput('name must not be a folder');
  return name;
}

/** In UTF-16 units. */
export const maxUrlLength = 2_000;

/** @throws {ChatError} BAD_USER_INPUT unless it is an absolute https URL without credentials, of at most `maxUrlLength` */
export function assertHttpsUrl(text: string, what: string): void {
  if (!isHttpsUrl(text)) throw badInput(`${what} must be an absolute https URL of at most ${maxUrlLength} characters`);
}

/** The same for an optional URL, as in a token: null if it is invalid. */
export const readUrl = (value: unknown): string | null =>
  typeof value === 'string' && isHttpsUrl(value) ? value : null;

/** @throws {ChatError} BAD_USER_INPUT unless it is an absolute https URL without credentials */
export function assertImageUrl(text: string): void {
  if (!isAbsoluteHttps(text)) throw badInput('content of an IMAGE must be an absolute https URL');
}

const isHttpsUrl = (text: string): boolean => text.length <= maxUrlLength && isAbsoluteHttps(text);

function isAbsoluteHttps(text: string): boolean {
  const url = absoluteHttps.test(text) && URL.canParse(text) ? new URL(text) : null;
  return url !== null && url.username === '' && url.password === '';
}

/** Refuses URLs that a parser would have to repair: another parser may repair them differently. */
const absoluteHttps = /^https:\/\/[^\s\p{Cc}\\/?#][^\s\p{Cc}\\]*$/iu;

const lineBreaks = /[\t\n\v\f\r\u0085\u2028\u2029]+/g;
/** Controls, and the embeddings, overrides and isolates of the bidirectional algorithm. */
const hidden = /[\p{Cc}\u202A-\u202E\u2066-\u2069]/gu;

const cleanName = (text: string): string => text.replace(lineBreaks, ' ').replace(hidden, '').normalize('NFC').trim();

function assertShown(text: string, what: string, maxLength: number): void {
  const fault = findFault(text, maxLength);
  if (fault !== null) throw badInput(`${what} ${fault}`);
}

/** The reason why the text is not acceptable, as the end of a sentence, or null. */
function findFault(text: string, maxLength: number): string | null {
  if (!text.isWellFormed()) return 'must not contain lone surrogates';
  // A code point has at most two UTF-16 units, so a text that is longer than that needs no exact count.
  const length = text.length > maxLength * 2 ? text.length : [...text].length;
  if (length > maxLength) return `must have at most ${maxLength} characters`;
  return blank.test(text) ? 'must not be empty or invisible' : null;
}

const badInput = (message: string) => new ChatError('BAD_USER_INPUT', message);
