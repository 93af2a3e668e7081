import type { RateLimiterMemory } from 'rate-limiter-flexible';
import type { Outcome } from '../db/room-log.js';
import { findCompany, findUsers } from '../db/users.js';
import { ChatError, type ErrorCode } from '../domain/errors.js';
import type { Viewer } from '../domain/viewer.js';
import type { Deps } from './deps.js';

/** @throws {ChatError} UNAUTHENTICATED where the request carries no token */
export function assertAuthenticated({ viewer }: { readonly viewer?: unknown }): void {
  if (viewer == null) throw new ChatError('UNAUTHENTICATED', 'A token is needed: Authorization: Bearer ...');
}

/**
 * The rules that only hold together with the row that they speak of are checked by the room log's functions, under the
 * room's lock (see prisma/migrations); this is what their refusals mean to a caller. Not there and not a member look
 * the same.
 */
const refusals: Partial<Record<Outcome, readonly [ErrorCode, string]>> = {
  NOT_FOUND: ['NOT_FOUND', 'There is no such room or message, or you are not a member'],
  CONFLICT: ['CONFLICT', 'This id was used before: with another author, room, type or content, or for something else'],
  NOT_AUTHOR: ['FORBIDDEN', 'Only its author may edit a message; its author or an admin may delete it'],
  NOT_ADMIN: ['FORBIDDEN', 'Only an admin of the room may do this'],
  NOT_GROUP: ['FORBIDDEN', 'Only GROUP rooms can be renamed and have their members changed'],
  DIRECT: ['FORBIDDEN', 'A DIRECT room cannot be left'],
  NOT_TEXT: ['BAD_USER_INPUT', 'Only TEXT can be edited, and SYSTEM messages stay as they are'],
  DELETED: ['CONFLICT', 'The message has been deleted'],
  FULL: ['BAD_USER_INPUT', 'The room would have more members than limits.maxRoomMembers'],
  NO_SUCH_MEMBER: ['BAD_USER_INPUT', 'This user is not a member of the room'],
  LAST_ADMIN: ['FORBIDDEN', 'A room needs an admin: make somebody else one first'],
  FOREIGN_MESSAGE: ['BAD_USER_INPUT', 'messageId is not a message of this room'],
  CANCELLED: ['FORBIDDEN', 'The booking was cancelled: its room is closed for writing'],
};

/** @throws {ChatError} what the refusal means */
export function assertAllowed(outcome: Outcome): void {
  const refusal = refusals[outcome];
  if (refusal !== undefined) throw new ChatError(...refusal);
}

/**
 * For what only those may do who may send, and what is written nowhere.
 * @param room - null where the viewer is no member
 * @throws {ChatError} what sending there would mean: NOT_FOUND or FORBIDDEN
 */
export function assertMayWrite<Room extends { readonly isOpen: boolean }>(room: Room | null): asserts room is Room {
  if (room === null) assertAllowed('NOT_FOUND');
  else if (!room.isOpen) assertAllowed('CANCELLED');
}

/** @throws {ChatError} FORBIDDEN: the booking system alone makes BOOKING rooms */
export function assertMayCreate(type: 'DIRECT' | 'GROUP' | 'BOOKING'): asserts type is 'DIRECT' | 'GROUP' {
  if (type === 'BOOKING') throw new ChatError('FORBIDDEN', 'BOOKING rooms are made by the booking system');
}

/** @throws {ChatError} FORBIDDEN where the user directory is off */
export function assertMaySearchUsers({ userDirectory }: Deps): void {
  if (!userDirectory) throw new ChatError('FORBIDDEN', 'The user directory of this server is off');
}

/** @throws {ChatError} RATE_LIMITED, with how long to wait */
export const assertMaySend = ({ sendRate }: Deps, viewer: Viewer): Promise<void> => consume(sendRate, viewer);

/** So many members that are brought take as long to write as any other change. */
const membersPerChange = 50;

/**
 * For every change but sending.
 * @param named - how many users it names: each 50 of them count as one change more
 * @throws {ChatError} RATE_LIMITED, with how long to wait
 */
export async function assertMayChange({ changeRate }: Deps, viewer: Viewer, named = 0): Promise<void> {
  if (changeRate === null) return;
  // Where the rate is lower than that, the largest takes all of it.
  const points = Math.min(1 + Math.floor(named / membersPerChange), changeRate.points);
  await consume(changeRate, viewer, points);
}

/**
 * Users whom the chat has never heard of are made known by who invites them, so many a day. Where the user directory is
 * off, all count with whom the viewer shares no room: that only some of them did would tell which numbers are known.
 * @throws {ChatError} RATE_LIMITED, with how long to wait
 */
export async function assertMayIntroduce(
  { db, newUserRate, userDirectory }: Deps,
  viewer: Viewer,
  userIds: readonly number[],
): Promise<void> {
  if (newUserRate === null) return;
  const invited = [...new Set(userIds)];
  const find = userDirectory ? findUsers(db, invited) : findCompany(db, viewer.userId, invited);
  const known = new Set((await find).map(({ id }) => id));
  const newCount = invited.filter((id) => !known.has(id)).length;
  if (newCount > 0) await consume(newUserRate, viewer, newCount);
}

/** @throws {ChatError} RATE_LIMITED, with how long to wait */
export const assertMaySubscribe = ({ subscriptionRate }: Deps, viewer: Viewer): Promise<void> =>
  consume(subscriptionRate, viewer);

/** @throws {ChatError} RATE_LIMITED, with how long to wait */
export const assertMaySearch = ({ searchRate }: Deps, viewer: Viewer): Promise<void> => consume(searchRate, viewer);

/** Of what is not merged with a signal of the same second. @throws {ChatError} RATE_LIMITED, with how long to wait */
export const assertMayType = ({ typingRate }: Deps, viewer: Viewer): Promise<void> => consume(typingRate, viewer);

async function consume(rate: RateLimiterMemory | null, { userId }: Viewer, points = 1): Promise<void> {
  if (rate === null) return;
  const refusal = await rate.consume(userId, points).then(
    () => undefined,
    (reason: unknown) => reason as { msBeforeNext: number },
  );
  if (refusal === undefined) return;
  throw new ChatError('RATE_LIMITED', 'Too many in too short a time; wait a little', {
    retryAfterMs: Math.max(1, Math.ceil(refusal.msBeforeNext)),
  });
}
