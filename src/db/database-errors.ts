import pg from 'pg';
import { ChatError } from '../domain/errors.js';
import { Prisma } from './generated/prisma/client.js';

/** A lock was not free in time: nothing was written, and the statement may be tried again. */
export class LockedError extends ChatError {
  override readonly name = 'LockedError';
  constructor(cause?: unknown) {
    super('UNAVAILABLE', 'Somebody else holds what this would change; try again', { cause });
  }
}

/** Whether the error leaves it open what a statement has written. */
export const isUncertain = (error: unknown): boolean =>
  error instanceof ChatError && error.code === 'UNAVAILABLE' && !(error instanceof LockedError);

/**
 * Throws UNAVAILABLE if the database is unreachable, full, read-only or too busy; other errors belong to the statement.
 * @throws {ChatError | unknown} a LockedError, another UNAVAILABLE, or the error as it is
 */
export function rethrow(error: unknown): never {
  if (stateOf(error) === lockNotAvailable) throw new LockedError(error);
  if (isOutage(error)) throw unavailable(error);
  throw error;
}

/** An error after which the caller may retry. */
export const unavailable = (cause: unknown): ChatError =>
  new ChatError('UNAVAILABLE', 'The database cannot be reached or is too busy; try again', { cause });

/** Whether the server may have to be left: it has ended, was replaced, is read-only or is broken. */
export function isDoubtful(error: unknown): boolean {
  const state = stateOf(error);
  return state === undefined ? isOutage(error) : doubtfulStates.test(state) || isMissingFile(error, state);
}

const lockNotAvailable = '55P03';
/**
 * Connection exceptions (08), read-only (25006), a transaction that idled or was idled (25P0x), a full disk (53100),
 * shutting down, starting up, a terminated backend (57P0x), and errors of the operating system (58): failed input and
 * output, missing files.
 */
const doubtfulStates = /^(08...|25006|25P0[34]|53100|57P0[1-5]|58...)$/;
/**
 * Errors after which a retry may succeed: insufficient resources (53), a timeout (57014), a deadlock (40P01), a conflict
 * (40001). Also errors at the start of a session: a password that is being changed (28), a database that is being restored
 * (3D000).
 */
const passingStates = /^(28...|3D000|40001|40P01|53...|57014)$/;

/** Whether a connection was not ready, or its server did not answer, in time. */
export const isTimeout = (error: unknown): boolean =>
  error instanceof Error &&
  /due to connection timeout|timeout exceeded when trying to connect|Query read timeout/.test(error.message);

const prismaCodes = new Set(['P1001', 'P1002', 'P1008', 'P1017', 'P2024', 'P2028', 'P2037']);
const prismaKinds = new Set([
  'DatabaseNotReachable',
  'ConnectionClosed',
  'SocketTimeout',
  'TooManyConnections',
  'DatabaseAccessDenied',
]);
const words =
  /ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|ENOTFOUND|Connection terminated|timeout exceeded when trying to connect|Query read timeout|Client has encountered a connection error|not queryable/;

function isOutage(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const state = stateOf(error);
  if (state !== undefined) {
    if (doubtfulStates.test(state) || passingStates.test(state)) return true;
    if (isMissingFile(error, state) || isOldPlan(error, state)) return true;
  }
  if (error instanceof pg.DatabaseError) return false;
  // The instance ends, and has closed the connections to a server that does not answer.
  if (error.name === 'AbortError') return true;
  if (error instanceof Prisma.PrismaClientInitializationError) return true;
  if (error instanceof Prisma.PrismaClientKnownRequestError) {
    if (prismaCodes.has(error.code) || prismaKinds.has(driverCause(error)?.kind ?? '')) return true;
  }
  return words.test(error.message);
}

/** Whether a table or a function is missing: migrations were not applied. */
export const isOfMissingTables = (error: unknown): boolean =>
  ['42P01', '42883', '42703'].includes(stateOf(error) ?? '') ||
  (error instanceof Prisma.PrismaClientKnownRequestError && error.code === 'P2021');

/** The SQLSTATE of a PostgreSQL error. */
export function stateOf(error: unknown): string | undefined {
  if (error instanceof pg.DatabaseError) return error.code;
  return error instanceof Prisma.PrismaClientKnownRequestError ? driverCause(error)?.originalCode : undefined;
}

/** A library of the server is missing or has another version, as after an upgrade under a running server. */
const isMissingFile = (error: unknown, state: string): boolean =>
  state === 'XX000' && /librar|could not (access|open|read|stat|load) /.test((error as Error).message);

/**
 * A migration changed the columns of a prepared statement; a new connection prepares it again. Checks the routine, because
 * messages are translated.
 */
export const isOldPlan = (error: unknown, state = stateOf(error)): boolean =>
  state === '0A000' &&
  (routineOf(error) === 'RevalidateCachedQuery' ||
    (error as Error).message.includes('cached plan must not change result type'));

const routineOf = (error: unknown): string | undefined =>
  error instanceof pg.DatabaseError ? error.routine : undefined;

const driverCause = ({ meta }: Prisma.PrismaClientKnownRequestError): DriverCause | undefined =>
  (meta?.driverAdapterError as { cause?: DriverCause } | undefined)?.cause;

interface DriverCause {
  readonly kind?: string;
  readonly originalCode?: string;
}
