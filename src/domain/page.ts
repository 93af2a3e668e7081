import { ChatError } from './errors.js';

/** The arguments of a connection, as GraphQL passes them. */
export interface PageArgs {
  readonly first?: number | null | undefined;
  readonly after?: string | null | undefined;
  readonly last?: number | null | undefined;
  readonly before?: string | null | undefined;
}

/** A page to read: `count` entries, forward or backward, strictly between the two cursors. */
export interface PageRequest<Cursor = string> {
  readonly count: number;
  readonly backward: boolean;
  readonly after: Cursor | undefined;
  readonly before: Cursor | undefined;
}

/** The rows of a page in the connection's order. */
export interface Page<Row> {
  readonly rows: readonly Row[];
  readonly hasNextPage: boolean;
  readonly hasPreviousPage: boolean;
}

/**
 * Checks a connection's arguments.
 * @throws {ChatError} BAD_USER_INPUT if they are invalid
 */
export function parsePageArgs(args: PageArgs, maxPageSize: number): PageRequest {
  const first = args.first ?? undefined;
  const last = args.last ?? undefined;
  if (first !== undefined && last !== undefined) throw badInput('Give first or last, not both');
  const count = first ?? last;
  if (count === undefined) throw badInput('Give first or last: how many are wanted');
  const name = first === undefined ? 'last' : 'first';
  if (count < 1) throw badInput(`${name} must be at least 1`);
  if (count > maxPageSize) throw badInput(`${name} must be at most ${maxPageSize}`);
  return { count, backward: first === undefined, after: args.after ?? undefined, before: args.before ?? undefined };
}

/** Drops the extra row that was read to see whether there are more, and restores the connection's order. */
export function toPage<Row>(rows: readonly Row[], { count, backward, after, before }: PageRequest<unknown>): Page<Row> {
  const hasMore = rows.length > count;
  const kept = rows.slice(0, count);
  return backward
    ? { rows: kept.reverse(), hasPreviousPage: hasMore, hasNextPage: before !== undefined }
    : { rows: kept, hasNextPage: hasMore, hasPreviousPage: after !== undefined };
}

/** Opaque to clients, and only valid for connections of the same kind. */
export const encodeCursor = (kind: CursorKind, ...parts: readonly (string | number)[]): string =>
  Buffer.from([kind, ...parts].join(' ')).toString('base64url');

export type CursorKind = 'message' | 'room' | 'member' | 'file';

/** @throws {ChatError} BAD_USER_INPUT unless `encodeCursor` made it for this kind of connection */
export function decodeCursor(kind: CursorKind, cursor: string, pattern: RegExp): readonly string[] {
  const text = Buffer.from(cursor, 'base64url').toString();
  const match = text.startsWith(`${kind} `) ? pattern.exec(text.slice(kind.length + 1)) : null;
  if (match === null) throw badInput(`This is not a cursor of this ${kind} connection: ${cursor.slice(0, 60)}`);
  return match.slice(1);
}

const badInput = (message: string) => new ChatError('BAD_USER_INPUT', message);
