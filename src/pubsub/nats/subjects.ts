import { parseUuid } from '../../domain/ids.js';

/**
 * `chat.room.{roomId}.message` or, for a DIRECT room, `chat.dm.{lowId}-{highId}.message`: an entry of the room's log.
 *
 * Ids are checked before they become part of a subject: a dot or a wildcard would reach another room.
 */
export function messageSubject(roomId: string, directKey: string | null): string {
  if (directKey === null) return `chat.room.${parseUuid(roomId, 'roomId')}.message`;
  const pair = /^(\d+):(\d+)$/.exec(directKey);
  if (pair === null) throw new Error(`Not a direct key: ${directKey}`);
  return `chat.dm.${pair[1]}-${pair[2]}.message`;
}

/** `chat.room.{roomId}.read`: a member's read mark moved. A client that was away reads it from the database. */
export const readSubject = (roomId: string): string => `chat.room.${parseUuid(roomId, 'roomId')}.read`;

/** `chat.room.{roomId}.typing`: a member began or stopped typing. */
export const typingSubject = (roomId: string): string => `chat.room.${parseUuid(roomId, 'roomId')}.typing`;

/** `chat.room.{roomId}.members`: memberships began or ended. An instance that misses it reads the database later. */
export const membersSubject = (roomId: string): string => `chat.room.${parseUuid(roomId, 'roomId')}.members`;
/** The memberships of all rooms. */
export const allMembersSubjects = 'chat.room.*.members';

/** `chat.user.{userId}.presence`: a user went online or offline. */
export const presenceSubject = (userId: number): string => `chat.user.${userId}.presence`;
/** The presence of all users. */
export const allPresenceSubjects = 'chat.user.*.presence';

/** `chat.user.{userId}.name`: a user's name changed. */
export const namedSubject = (userId: number): string => `chat.user.${userId}.name`;
/** The names of all users. */
export const allNamedSubjects = 'chat.user.*.name';

/** `chat.user.{userId}.read`: the user's own read mark moved, for the inboxes of their other connections. */
export const ownReadSubject = (userId: number): string => `chat.user.${userId}.read`;

/** The log entries of all rooms; DIRECT rooms have a subject of their own. */
export const allMessageSubjects = ['chat.room.*.message', 'chat.dm.*.message'] as const;

/** `chat.outbox.acked`: entries that the stream has acknowledged to one instance, sent to the other instances. */
export const ackedSubject = 'chat.outbox.acked';

/** `chat.file.work`: a file with work to do, such as thumbnails. */
export const fileWorkSubject = 'chat.file.work';

/** `chat.files.scan`: a request to the platform's virus scanner. */
export const fileScanSubject = 'chat.files.scan';

/** `chat.dead-letter.booking`: a booking event that failed five times, unchanged; `.file`: work on a file. */
export const deadLetterSubject = (what: 'booking' | 'file'): string => `chat.dead-letter.${what}`;
