import { ChatError } from './errors.js';

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const userIdPattern = /^[1-9][0-9]{0,9}$/;
const maxUserId = 2 ** 31 - 1;

/** True for lower case only, as ids are stored. */
export const isUuid = (text: string): boolean => uuidPattern.test(text);

/**
 * The UUID in lower case, as it is stored and as it appears in NATS subjects.
 * @throws {ChatError} BAD_USER_INPUT for anything else: a dot or a wildcard in an id would reach another room's subject
 */
export function parseUuid(text: string, what: string): string {
  const uuid = text.toLowerCase();
  if (!isUuid(uuid)) throw new ChatError('BAD_USER_INPUT', `${what} must be a UUID`);
  return uuid;
}

export const isUserId = (text: unknown): text is string =>
  typeof text === 'string' && userIdPattern.test(text) && Number(text) <= maxUserId;

/** @throws {ChatError} BAD_USER_INPUT unless it is a whole number from 1 to 2^31-1 */
export function parseUserId(text: string, what: string): number {
  if (!isUserId(text)) throw new ChatError('BAD_USER_INPUT', `${what} must be a user's number`);
  return Number(text);
}
