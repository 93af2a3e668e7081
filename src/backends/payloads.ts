import { z } from 'zod';
import type { MentionedUser } from '../db/users.js';
import { readName } from '../domain/content.js';
import { ChatError } from '../domain/errors.js';
import { isUserId } from '../domain/ids.js';

/** A user's number may also be a string, as in tokens and REST bodies. */
const numberError = 'must be a number from 1 to 2147483647';
const positiveInt = z.preprocess(
  (value) => (typeof value === 'number' ? String(value) : value),
  z.string({ error: numberError }).refine(isUserId, { error: numberError }).transform(Number),
);
export const userId = positiveInt;
export const bookingId = positiveInt;

/** Converted to lower case, as ids are stored. */
export const uuid = z.guid({ error: 'must be a UUID' }).transform((text) => text.toLowerCase());
export const text = z.string({ error: 'must be a text' });
export const optionalText = text.nullish();

const limitError = 'must be a whole number of at least 1';
export const limit = z.int({ error: limitError }).min(1, { error: limitError });
const skipError = 'must be a whole number from 0 to 1000000';
export const skip = z.int({ error: skipError }).min(0, { error: skipError }).max(1_000_000, { error: skipError });
const versionError = 'must be a whole number from 0 to 9007199254740991';
export const version = z.int({ error: versionError }).min(0, { error: versionError });

export const memberIds = z.array(userId, { error: 'must be a list of user numbers' });
export const someMemberIds = memberIds.min(1, { error: 'must name at least one user' });
/** An optional name: null if it is missing or invalid. It never causes a refusal. */
export const nameHint = z.unknown().optional().transform(readName);
/** In the order of the ids; null for an unknown name. */
export const memberNames = z.array(nameHint, { error: 'must be a list of names' }).nullish();

const member = z.object({ userId, userName: nameHint }, { error: 'must be an object with userId and userName' });
export const members = z.array(member, { error: 'must be a list of { userId, userName }' });

/** @throws {ChatError} BAD_USER_INPUT that names the missing and invalid fields, at most `maxProblems` of them */
export function parsePayload<Payload>(schema: z.ZodType<Payload>, payload: unknown): Payload {
  const { success, data, error } = schema.safeParse(payload);
  if (success) return data;
  const problems = error.issues.slice(0, maxProblems).map(({ path, message }) => {
    return path.length === 0 ? `The payload ${message}` : `${path.join('.')} ${message}`;
  });
  throw new ChatError('BAD_USER_INPUT', problems.join('; '));
}

const maxProblems = 10;

export const payload = <Shape extends z.ZodRawShape>(shape: Shape) =>
  z.object(shape, { error: 'must be a JSON object' });

/** @throws {ChatError} BAD_USER_INPUT if the limit is larger than `max` */
export function assertLimit(limit: number, max: number): number {
  if (limit > max) throw new ChatError('BAD_USER_INPUT', `limit must be at most ${max}`);
  return limit;
}

interface MemberLists {
  readonly memberIds: readonly number[];
  readonly memberNames?: readonly (string | null)[] | null | undefined;
}

/**
 * Combines the two lists into users with names.
 * @throws {ChatError} BAD_USER_INPUT if a room may not have so many members, or if the lists differ in length
 */
export function pairNames(
  { memberIds: ids, memberNames: names }: MemberLists,
  maxRoomMembers: number,
): MentionedUser[] {
  if (ids.length > maxRoomMembers) {
    throw new ChatError('BAD_USER_INPUT', `memberIds must have at most ${maxRoomMembers} entries`);
  }
  if (names != null && names.length !== ids.length) {
    throw new ChatError('BAD_USER_INPUT', 'memberNames must have as many entries as memberIds');
  }
  return ids.map((userId, place) => ({ userId, userName: names?.[place] ?? null }));
}

/** For `catch`: puts the payload's name of the field in front of a BAD_USER_INPUT message of a resolver. */
export const renameField =
  (field: string) =>
  (error: unknown): never => {
    if (!(error instanceof ChatError) || error.code !== 'BAD_USER_INPUT') throw error;
    throw new ChatError('BAD_USER_INPUT', `${field}: ${error.message}`);
  };
