/** The body was not published by Fairway, or not completely: it is ignored as a whole. */
export class ForeignBodyError extends Error {
  override readonly name = 'ForeignBodyError';
  constructor(what: string) {
    super(`Not ${what}`);
  }
}

/** A JSON object whose fields are not checked yet. */
export type Fields<Name extends string> = { readonly [Field in Name]?: unknown };

const decoder = new TextDecoder('utf-8', { fatal: true });
const maxInt = 2 ** 31 - 1;
const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** @throws {ForeignBodyError} unless the body is JSON in UTF-8 */
export function parseBody(body: Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(body));
  } catch {
    throw new ForeignBodyError('JSON');
  }
}

/** Each of these functions checks the value and returns it with its type. @throws {ForeignBodyError} if it is anything else */
export function asFields<Name extends string>(value: unknown): Fields<Name> {
  if (typeof value !== 'object' || value === null) throw new ForeignBodyError('an object');
  return value as Fields<Name>;
}

export function asList(value: unknown, maxLength: number): readonly unknown[] {
  if (!Array.isArray(value) || value.length > maxLength) throw new ForeignBodyError('a list within its limit');
  return value;
}

/** In lower case, as ids are published. Anything else is refused: a dot or a wildcard would reach another room's subject. */
export function asUuid(value: unknown): string {
  if (typeof value !== 'string' || !uuidPattern.test(value)) throw new ForeignBodyError('an id');
  return value;
}

/** Text that PostgreSQL can hold. */
export function asText(value: unknown): string {
  if (typeof value !== 'string' || !value.isWellFormed() || value.includes('\0')) throw new ForeignBodyError('text');
  return value;
}

export function asBoolean(value: unknown): boolean {
  if (typeof value !== 'boolean') throw new ForeignBodyError('a boolean');
  return value;
}

export function asUserId(value: unknown): number {
  return asInteger(value, 1);
}

/** The position of an entry in a room's log. */
export function asPosition(value: unknown): number {
  return asInteger(value, 1);
}

/** The position of a mark in a room's log: 0 is before the first entry. */
export function asMark(value: unknown): number {
  return asInteger(value, 0);
}

/** A whole number that fits into PostgreSQL's `integer`. */
function asInteger(value: unknown, min: number): number {
  if (!Number.isInteger(value) || (value as number) < min || (value as number) > maxInt) {
    throw new ForeignBodyError('a number in its range');
  }
  return value as number;
}

/** A time in exactly the format of `JSON.stringify`. */
export function asDate(value: unknown): Date {
  const date = new Date(typeof value === 'string' ? value : Number.NaN);
  if (Number.isNaN(date.getTime()) || date.toISOString() !== value) throw new ForeignBodyError('a time');
  return date;
}

/** Allows null. */
export const orNull = <T>(value: unknown, as: (value: unknown) => T): T | null => (value === null ? null : as(value));

export function asOneOf<T extends string>(value: unknown, all: ReadonlySet<T>): T {
  if (!all.has(value as T)) throw new ForeignBodyError(`one of ${[...all].join(', ')}`);
  return value as T;
}
