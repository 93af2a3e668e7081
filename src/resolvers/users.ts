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

/** Users are known, and named, by the tokens that the platform signed for them. Costs a query only for news. */
export async function rememberViewer({ db, knownNames, names }: Deps, viewer: Viewer): Promise<void> {
  const { userId, name, issuedAt } = viewer;
  const known = knownNames.get(userId);
  if (known !== undefined && !isNews(known, viewer)) return;
  const isRenamed = await saveUser(db, { id: userId, name, namedAt: issuedAt });
  if (isRenamed) names.announce(userId);
  knownNames.set(userId, { name, issuedAt });
}

/** A newer token is news even with the same name: another instance may have stored a name from in between. */
function isNews(known: Pick<Viewer, 'name' | 'issuedAt'>, { name, issuedAt }: Viewer): boolean {
  if (name === undefined) return false;
  if (known.name === undefined || issuedAt > known.issuedAt) return true;
  return name !== known.name && issuedAt.getTime() === known.issuedAt.getTime();
}

/**
 * The platform names a user, here and now; messages that were sent before keep the name that they were sent under.
 * Resolves with the name as it is stored.
 */
export async function renameUser({ db, names }: Deps, user: { userId: number; name: string }): Promise<string> {
  const name = parseName(user.name, 'name');
  const isRenamed = await rename(db, { id: user.userId, name });
  if (isRenamed) names.announce(user.userId);
  return name;
}

/** Makes users known whom a backend mentions. */
export const introduceUsers = ({ db }: Deps, users: readonly MentionedUser[]): Promise<void> => introduce(db, users);

/** @throws {ChatError} BAD_USER_INPUT that says what is wrong */
export function parseUserIds({ ids }: { readonly ids: readonly string[] }, { maxPageSize }: Limits): number[] {
  if (ids.length > maxPageSize) throw new ChatError('BAD_USER_INPUT', `ids must have at most ${maxPageSize} entries`);
  return ids.map((id) => parseUserId(id, 'ids'));
}

/** The users in the order of their ids, null for those whom the viewer may not know of. */
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

/** The text to look for. @throws {ChatError} BAD_USER_INPUT that says what is wrong */
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

/** What these users are called now. */
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
