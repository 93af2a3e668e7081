import type { RateLimiterMemory } from 'rate-limiter-flexible';
import type { Outcome } from '../db/room-log.js';
import type { Room } from '../db/rooms.js';
import { findCompany, findUsers } from '../db/users.js';
import { ChatError, type ErrorCode } from '../domain/errors.js';
import type { Message } from '../domain/message.js';
import type { Viewer } from '../domain/viewer.js';
import type { Deps } from './deps.js';

/** @throws {ChatError} UNAUTHENTICATED if the request has no token */
export function assertAuthenticated({ viewer }: { readonly viewer?: unknown }): void {
  if (viewer == null) throw new ChatError('UNAUTHENTICATED', 'A token is needed: Authorization: Bearer ...');
}

/** Another upload takes about so long. */
const pendingRetryMs = 5_000;

type Refusal = Exclude<Outcome, 'OK' | 'DUPLICATE' | 'UNCHANGED'>;

/**
 * The errors for refusals of the room log's SQL functions (prisma/functions), which check rules that depend on stored rows
 * under the room's lock. A room that does not exist and one without the viewer look the same.
 */
const refusals: Readonly<Record<Refusal, readonly [ErrorCode, string, { readonly retryAfterMs: number }?]>> = {
  NOT_FOUND: ['NOT_FOUND', 'There is no such room or message, or you are not a member'],
  CONFLICT: ['CONFLICT', 'This id was used before: with another author, room, type or content, or for something else'],
  NOT_AUTHOR: ['FORBIDDEN', 'Only its author may edit a message; its author or an admin may delete it'],
  NOT_ADMIN: ['FORBIDDEN', 'Only an admin of the room may do this'],
  NOT_GROUP: ['FORBIDDEN', 'Only GROUP rooms can be renamed and have their members changed'],
  DIRECT: ['FORBIDDEN', 'A DIRECT room cannot be left'],
  NOT_TEXT: ['BAD_USER_INPUT', 'Only TEXT can be edited, and SYSTEM messages stay as they are'],
  DELETED: ['CONFLICT', 'The message has been deleted'],
  EDITED: ['CONFLICT', 'The message has been edited since editedAt'],
  FULL: ['BAD_USER_INPUT', 'The room would have more members than limits.maxRoomMembers'],
  NO_SUCH_MEMBER: ['BAD_USER_INPUT', 'This user is not a member of the room'],
  LAST_ADMIN: ['FORBIDDEN', 'A room needs an admin: make another member an admin first'],
  FOREIGN_MESSAGE: ['BAD_USER_INPUT', 'messageId is not a message of this room'],
  CANCELLED: ['FORBIDDEN', 'The booking was cancelled: its room is closed for writing'],
  FOREIGN_ATTACHMENT: ['BAD_USER_INPUT', 'There is no such upload of yours for this room and purpose'],
  UNUSABLE_ATTACHMENT: ['BAD_USER_INPUT', 'A file that failed, has expired or is of another kind cannot be used'],
  NOT_UPLOADED: ['CONFLICT', 'The bytes of the file are not there yet: upload them and call completeUpload'],
  NOT_READY: ['CONFLICT', 'The picture is still being looked at: try again in a moment'],
  ATTACHMENT_USED: ['CONFLICT', 'The file belongs to another message'],
  TOO_MANY_PENDING: [
    'RATE_LIMITED',
    'Too many files wait for completeUpload (limits.maxPendingFiles): complete some, or wait until they are removed',
    { retryAfterMs: pendingRetryMs },
  ],
};

/** @throws {ChatError} the error for this refusal */
export function assertAllowed(outcome: Outcome): void {
  if (isRefusal(outcome)) throw refusalOf(outcome);
}

/** The error for this refusal. */
export const refusalOf = (outcome: Refusal): ChatError => new ChatError(...refusals[outcome]);

const isRefusal = (outcome: Outcome): outcome is Refusal => outcome in refusals;

/**
 * For actions that need the permission to send but write nothing, such as typing.
 * @param room - null if the viewer is not a member
 * @throws {ChatError} as sending there would: NOT_FOUND or FORBIDDEN
 */
export function assertMayWrite<Found extends { readonly isOpen: boolean }>(room: Found | null): asserts room is Found {
  if (room === null) assertAllowed('NOT_FOUND');
  else if (!room.isOpen) assertAllowed('CANCELLED');
}

/*
 * What a client may offer to its user now. The functions in prisma/functions decide by the same rules when it is done, because
 * memberships and rooms change in between.
 */

/** False in a closed room, and for a former member. */
export const canSend = ({ cancelledAt, preloaded }: Room): boolean =>
  cancelledAt === null && (preloaded?.viewerMember?.leftAt ?? null) === null;

/** True for the viewer's own text, while the room is open. */
export async function canEdit({ batches }: Deps, { userId }: Viewer, message: Message): Promise<boolean> {
  const { roomId, senderId, type, deletedAt } = message;
  if (senderId !== userId || type !== 'TEXT' || deletedAt !== null) return false;
  const permission = await batches.permissions.load({ roomId, userId });
  return permission?.isOpen === true;
}

/** True for the viewer's own messages, and for all of them if the viewer is an admin; also in a closed room. */
export async function canDelete({ batches }: Deps, { userId }: Viewer, message: Message): Promise<boolean> {
  const { roomId, senderId, type, deletedAt } = message;
  if (type === 'SYSTEM' || deletedAt !== null) return false;
  const permission = await batches.permissions.load({ roomId, userId });
  return permission !== null && (senderId === userId || permission.isAdmin);
}

/** @throws {ChatError} FORBIDDEN for BOOKING rooms, which only the booking system creates */
export function assertMayCreate(type: 'DIRECT' | 'GROUP' | 'BOOKING'): asserts type is 'DIRECT' | 'GROUP' {
  if (type === 'BOOKING') throw new ChatError('FORBIDDEN', 'BOOKING rooms are created by the booking system');
}

/** @throws {ChatError} FORBIDDEN if the user directory is off */
export function assertMaySearchUsers({ userDirectory }: Deps): void {
  if (!userDirectory) throw new ChatError('FORBIDDEN', 'The user directory of this server is off');
}

/** @throws {ChatError} RATE_LIMITED, with how long to wait */
export const assertMaySend = ({ sendRate }: Deps, viewer: Viewer): Promise<void> => consume(sendRate, viewer);

/** Writing this many new members takes as long as any other change. */
const membersPerChange = 50;

/**
 * For every change except sending. One that adds an entry to a log, and that the user could repeat for ever, needs
 * `assertMayAppend`.
 * @param named - how many users the change names: every 50 of them count as one more change
 * @throws {ChatError} RATE_LIMITED, with how long to wait
 */
export async function assertMayChange({ changeRate }: Deps, viewer: Viewer, named = 0): Promise<void> {
  if (changeRate === null) return;
  // A change may cost the whole rate at most, or it could never be made.
  const points = Math.min(1 + Math.floor(named / membersPerChange), changeRate.points);
  await consume(changeRate, viewer, points);
}

/**
 * The same for a change that the members of a room get as an entry of its log, like a message: while messages are delivered
 * late, it waits as sends do. Deleting, leaving and removing never wait, because they end something. Changes of backends do
 * not wait either.
 * @throws {ChatError} RATE_LIMITED, with how long to wait
 */
export async function assertMayAppend(deps: Deps, viewer: Viewer, named?: number): Promise<void> {
  if (deps.changeRate !== null) await deps.sendGate.enter(viewer.userId);
  await assertMayChange(deps, viewer, named);
}

/**
 * Limits how many users new to the chat a user may invite in a day. If the user directory is off, all users without a shared
 * room count: otherwise the limit would reveal which numbers are known.
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

/** Reading the presence of this many users takes as long as any other subscription. */
const usersPerSubscription = 50;

/** @param users - how many users the subscription names: every 50 of them count as one subscription more */
export async function assertMayWatch({ subscriptionRate }: Deps, viewer: Viewer, users: number): Promise<void> {
  // The subscription itself is counted already.
  const points = Math.min(Math.floor(users / usersPerSubscription), subscriptionRate.points - 1);
  if (points > 0) await consume(subscriptionRate, viewer, points);
}

/**
 * For a file of this length. One that is refused for it does not count, so that a shorter one may still be sent.
 * @throws {ChatError} RATE_LIMITED, with how long to wait
 */
export async function assertMayUpload(deps: Deps, viewer: Viewer, bytes: number): Promise<void> {
  const { fileRate, fileBytesRate } = deps;
  await consume(fileRate, viewer);
  if (bytes === 0) return;
  await consume(fileBytesRate, viewer, bytes).catch(async (error: unknown) => {
    await returnUpload(deps, viewer, bytes);
    throw error;
  });
}

/** Gives the bytes of a file back that was refused after all. */
export const returnUpload = async ({ fileBytesRate }: Deps, { userId }: Viewer, bytes: number): Promise<void> =>
  void (await fileBytesRate?.reward(userId, bytes));

/** @throws {ChatError} RATE_LIMITED, with how long to wait */
export const assertMaySearch = ({ searchRate }: Deps, viewer: Viewer): Promise<void> => consume(searchRate, viewer);

/** For signals that are not merged with one of the same second. @throws {ChatError} RATE_LIMITED, with how long to wait */
export const assertMayType = ({ typingRate }: Deps, viewer: Viewer): Promise<void> => consume(typingRate, viewer);

async function consume(rate: RateLimiterMemory | null, { userId }: Viewer, points = 1): Promise<void> {
  if (rate === null) return;
  const refusal = await rate.consume(userId, points).then(
    () => undefined,
    (reason: unknown) => reason as { msBeforeNext: number },
  );
  if (refusal === undefined) return;
  throw new ChatError('RATE_LIMITED', 'Too many requests in a short time; wait a little', {
    retryAfterMs: Math.max(1, Math.ceil(refusal.msBeforeNext)),
  });
}
