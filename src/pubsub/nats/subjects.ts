import { parseUuid } from '../../domain/ids.js';

/**
 * Where a room's log entries are published: `chat.room.{roomId}.message`, or `chat.dm.{lowId}-{highId}.message`
 * for a DIRECT room. Ids are checked before they become a token: a dot or a wildcard would reach another room.
 */
export function messageSubject(roomId: string, directKey: string | null): string {
  if (directKey === null) return `chat.room.${parseUuid(roomId, 'roomId')}.message`;
  const pair = /^(\d+):(\d+)$/.exec(directKey);
  if (pair === null) throw new Error(`Not a direct key: ${directKey}`);
  return `chat.dm.${pair[1]}-${pair[2]}.message`;
}

/** `chat.room.{roomId}.read`: read marks that moved. In no stream: who was away asks the database. */
export const readSubject = (roomId: string): string => `chat.room.${parseUuid(roomId, 'roomId')}.read`;

/** `chat.room.{roomId}.typing`: who begins and who stops to type. */
export const typingSubject = (roomId: string): string => `chat.room.${parseUuid(roomId, 'roomId')}.typing`;

/** `chat.room.{roomId}.members`: memberships began or ended. In no stream: who missed it looks again by and by. */
export const acquaintingSubject = (roomId: string): string => `chat.room.${parseUuid(roomId, 'roomId')}.members`;
/** The memberships of all rooms. */
export const allAcquaintingSubjects = 'chat.room.*.members';

/** `chat.user.{userId}.presence`: a user came or went. */
export const presenceSubject = (userId: number): string => `chat.user.${userId}.presence`;
/** The presence of all users. */
export const allPresenceSubjects = 'chat.user.*.presence';

/** `chat.user.{userId}.name`: a user has another name. In no stream. */
export const namedSubject = (userId: number): string => `chat.user.${userId}.name`;
/** The names of all users. */
export const allNamedSubjects = 'chat.user.*.name';

/** `chat.user.{userId}.read`: the user's own read marks, for their other devices. In no stream. */
export const ownReadSubject = (userId: number): string => `chat.user.${userId}.read`;

/** The log entries of all rooms, DIRECT ones apart. */
export const allMessageSubjects = ['chat.room.*.message', 'chat.dm.*.message'] as const;

/** What the stream has acknowledged to one instance, told to the others. In no stream. */
export const ackedSubject = 'chat.outbox.acked';

/** What could not be made sense of, as it came: `chat.dead-letter.booking` for booking events. */
export const deadLetterSubject = (what: 'booking'): string => `chat.dead-letter.${what}`;
