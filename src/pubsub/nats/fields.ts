/** A body that is not entirely one of ours: somebody else's, and nothing of it is to be believed. */
export class ForeignBodyError extends Error {
  override readonly name = 'ForeignBodyError';
  constructor(what: string) {
    super(`Not ${what}`);
  }
}

/** A JSON object whose fields have yet to be checked, one by one. */
export type Fields<Name extends string> = { readonly [Field in Name]?: unknown };

const decoder = new TextDecoder('utf-8', { fatal: true });
const maxInt = 2 ** 31 - 1;
const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** @throws {ForeignBodyError} where the body is no JSON in UTF-8 */
export function parseBody(body: Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(body));
  } catch {
    throw new ForeignBodyError('JSON');
  }
}

/** Each of these returns the value as what its name says. @throws {ForeignBodyError} where it is anything else */
export function asFields<Name extends string>(value: unknown): Fields<Name> {
  if (typeof value !== 'object' || value === null) throw new ForeignBodyError('an object');
  return value as Fields<Name>;
}

export function asList(value: unknown, maxLength: number): readonly unknown[] {
  if (!Array.isArray(value) || value.length > maxLength) throw new ForeignBodyError('a list of ours');
  return value;
}

/** In lower case, as ids are published: a dot or a wildcard in one would reach somebody else's room. */
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

/** Of an entry in a room's log. */
export function asPosition(value: unknown): number {
  return asInteger(value, 1);
}

/** Of a mark in a room's log: 0 stands before its first entry. */
export function asMark(value: unknown): number {
  return asInteger(value, 0);
}

/** A whole number that is an `integer` of PostgreSQL's. */
function asInteger(value: unknown, min: number): number {
  if (!Number.isInteger(value) || (value as number) < min || (value as number) > maxInt) {
    throw new ForeignBodyError('a number in its range');
  }
  return value as number;
}

/** An instant in the one form in which `JSON.stringify` writes it. */
export function asDate(value: unknown): Date {
  const date = new Date(typeof value === 'string' ? value : Number.NaN);
  if (Number.isNaN(date.getTime()) || date.toISOString() !== value) throw new ForeignBodyError('an instant');
  return date;
}

/** The value, or the null that a field may be. */
export const orNull = <T>(value: unknown, as: (value: unknown) => T): T | null => (value === null ? null : as(value));

export function asOneOf<T extends string>(value: unknown, all: ReadonlySet<T>): T {
  if (!all.has(value as T)) throw new ForeignBodyError(`one of ${[...all].join(', ')}`);
  return value as T;
}
