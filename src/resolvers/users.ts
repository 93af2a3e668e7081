import type { User } from '../db/user-row.js';
import {
  deleteUser as erase,
  findKnownUsers,
  findUsers,
  introduceUsers as introduce,
  type MentionedUser,
  saveUser,
  searchUsers as search,
  updateUser as update,
} from '../db/users.js';
import { assertHttpsUrl, parseName } from '../domain/content.js';
import { ChatError } from '../domain/errors.js';
import { parseUserId } from '../domain/ids.js';
import { deletedName } from '../domain/notice.js';
import type { KnownToken, Viewer } from '../domain/viewer.js';
import { assertMaySearch, assertMaySearchUsers } from './access.js';
import type { Deps, Limits } from './deps.js';

/** Stores the viewer with the name and picture from the token. Runs a query only for a new or newer token. */
export async function rememberViewer({ db, knownTokens, names }: Deps, viewer: Viewer): Promise<void> {
  const { userId, name, avatarUrl, issuedAt } = viewer;
  const known = knownTokens.get(userId);
  if (known !== undefined && !isNews(known, viewer)) return;
  const isChanged = await saveUser(db, { id: userId, name, avatarUrl, namedAt: issuedAt });
  if (isChanged) names.announce([userId]);
  knownTokens.set(userId, { name, avatarUrl, issuedAt });
}

/** A newer token is stored even with the same name: another instance may have stored a name from a token in between. */
function isNews(known: KnownToken, { name, avatarUrl, issuedAt }: KnownToken): boolean {
  if (name === undefined && avatarUrl === undefined) return false;
  if ((known.name === undefined && known.avatarUrl === undefined) || issuedAt > known.issuedAt) return true;
  const isOther = name !== known.name || avatarUrl !== known.avatarUrl;
  return isOther && issuedAt.getTime() === known.issuedAt.getTime();
}

/** A user as a backend describes them; an absent picture stays, null removes it. */
export interface UserInput {
  readonly userId: number;
  readonly name: string;
  readonly avatarUrl?: string | null | undefined;
}

/**
 * Sets a user's name and picture as of now; earlier messages keep their `senderName`. Resolves with the name as it is stored.
 */
export async function updateUser({ db, names }: Deps, { userId, avatarUrl, ...user }: UserInput): Promise<string> {
  const name = parseName(user.name, 'name');
  if (avatarUrl != null) assertHttpsUrl(avatarUrl, 'avatarUrl');
  const isChanged = await update(db, { id: userId, name, avatarUrl });
  if (isChanged) names.announce([userId]);
  return name;
}

/** From now on the user has a fixed name and no picture, whatever tokens say. Deleting twice is not an error. */
export async function deleteUser({ db, names, language }: Deps, userId: number): Promise<void> {
  const isChanged = await erase(db, { id: userId, name: deletedName[language] });
  if (isChanged) names.announce([userId]);
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
