import type { User } from '../db/user-row.js';
import {
  findKnownUsers,
  findUsers,
  introduceUsers as introduce,
  type MentionedUser,
  renameUser as rename,
  saveUser,
  searchUsers as search,
} from '../db/users.js';
import { parseName } from '../domain/content.js';
import { ChatError } from '../domain/errors.js';
import { parseUserId } from '../domain/ids.js';
import type { Viewer } from '../domain/viewer.js';
import { assertMaySearch, assertMaySearchUsers } from './access.js';
import type { Deps, Limits } from './deps.js';

/** Stores the viewer and their name from the token. Runs a query only for a new or newer token. */
export async function rememberViewer({ db, knownNames, names }: Deps, viewer: Viewer): Promise<void> {
  const { userId, name, issuedAt } = viewer;
  const known = knownNames.get(userId);
  if (known !== undefined && !isNews(known, viewer)) return;
  const isRenamed = await saveUser(db, { id: userId, name, namedAt: issuedAt });
  if (isRenamed) names.announce([userId]);
  knownNames.set(userId, { name, issuedAt });
}

/** A newer token is stored even with the same name: another instance may have stored a name from a token in between. */
function isNews(known: Pick<Viewer, 'name' | 'issuedAt'>, { name, issuedAt }: Viewer): boolean {
  if (name === undefined) return false;
  if (known.name === undefined || issuedAt > known.issuedAt) return true;
  return name !== known.name && issuedAt.getTime() === known.issuedAt.getTime();
}

/**
 * Sets a user's name as of now; earlier messages keep their `senderName`. Resolves with the name as it is stored.
 */
export async function renameUser({ db, names }: Deps, user: { userId: number; name: string }): Promise<string> {
  const name = parseName(user.name, 'name');
  const isRenamed = await rename(db, { id: user.userId, name });
  if (isRenamed) names.announce([user.userId]);
  return name;
}

/** Stores users that a backend mentions. */
export async function introduceUsers({ db, names }: Deps, users: readonly MentionedUser[]): Promise<void> {
  names.announce(await introduce(db, users));
}

/** @throws {ChatError} BAD_USER_INPUT if the ids are invalid */
export function parseUserIds({ ids }: { readonly ids: readonly string[] }, { maxPageSize }: Limits): number[] {
  if (ids.length > maxPageSize) throw new ChatError('BAD_USER_INPUT', `ids must have at most ${maxPageSize} entries`);
  return ids.map((id) => parseUserId(id, 'ids'));
}

/** The users in the order of the ids; null for users that the viewer may not see. */
export async function getUsers(deps: Deps, viewer: Viewer, ids: readonly string[]): Promise<(User | null)[]> {
  const { db, limits, userDirectory } = deps;
  const userIds = parseUserIds({ ids }, limits);
  if (userDirectory) {
    const byId = new Map((await findUsers(db, userIds)).map((user) => [user.id, user]));
    return userIds.map((id) => byId.get(id) ?? null);
  }
  const asked = userIds.map((userId) => ({ viewerId: viewer.userId, userId }));
  const view = await findKnownUsers(db, asked);
  return asked.map((one) => view(one) ?? null);
}

/** Returns the search text. @throws {ChatError} BAD_USER_INPUT if the arguments are invalid */
export function parseUserSearch(
  { text, first }: { readonly text: string; readonly first?: number | null },
  { maxPageSize }: Limits,
): string {
  const wanted = text.trim();
  if (wanted === '' || wanted.length > 100 || wanted.includes('\0') || !wanted.isWellFormed()) {
    throw new ChatError('BAD_USER_INPUT', 'text must have 1 to 100 characters');
  }
  if (first != null && (first < 1 || first > maxPageSize)) {
    throw new ChatError('BAD_USER_INPUT', `first must be from 1 to ${maxPageSize}`);
  }
  return wanted;
}

export async function searchUsers(
  deps: Deps,
  viewer: Viewer,
  { text, first }: { text: string; first: number },
): Promise<readonly User[]> {
  const wanted = parseUserSearch({ text, first }, deps.limits);
  assertMaySearchUsers(deps);
  await assertMaySearch(deps, viewer);
  return search(deps.db, wanted, first);
}

/** The current names of these users. */
export async function nameUsers(deps: Deps, ids: readonly number[]): Promise<Map<number, string>> {
  const users = await deps.batches.users.loadMany([...new Set(ids)]);
  return new Map(
    users.map((user) => {
      if (user instanceof Error) throw user;
      return [user.id, shownName(user)];
    }),
  );
}

export const shownName = ({ id, name }: Pick<User, 'id' | 'name'>): string => name ?? `#${id}`;
