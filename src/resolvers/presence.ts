import { ChatError } from '../domain/errors.js';
import { parseUserId } from '../domain/ids.js';
import type { Presence } from '../domain/presence.js';
import type { Source } from '../domain/source.js';
import type { Viewer } from '../domain/viewer.js';
import { assertMayWatch } from './access.js';
import type { Deps } from './deps.js';

/**
 * The current state of each user first, then every change; nothing for users who share no room with the viewer.
 * @throws {ChatError} BAD_USER_INPUT for no users or too many, RATE_LIMITED if the viewer watches too many already
 */
export async function watchPresence(
  deps: Deps,
  viewer: Viewer,
  { userIds }: { userIds: readonly string[] },
  isBehind: () => boolean,
): Promise<Source<Presence>> {
  const ids = [...new Set(userIds.map((id) => parseUserId(id, 'userIds')))];
  const { presences, limits } = deps;
  const { maxWatchedUsers } = limits;
  if (ids.length === 0 || ids.length > maxWatchedUsers) {
    throw new ChatError('BAD_USER_INPUT', `userIds must name 1 to ${maxWatchedUsers} users`);
  }
  await assertMayWatch(deps, viewer, ids.length);
  return presences.watch(viewer.userId, ids, isBehind);
}
