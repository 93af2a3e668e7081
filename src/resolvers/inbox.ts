import type { Room } from '../db/rooms.js';
import type { InboxEvent } from '../domain/inbox.js';
import type { Source } from '../domain/source.js';
import type { Viewer } from '../domain/viewer.js';
import type { Deps } from './deps.js';
import { type RoomRequest, toSelection } from './rooms.js';

/**
 * The viewer's rooms as they change, READY first: a query after READY misses nothing. Each room comes with the requested
 * parts, as of one moment when the viewer was a member: lookups of all watchers in one turn share a query.
 */
export function watchInbox(
  { batches, inboxes, limits }: Deps,
  { userId }: Viewer,
  request: RoomRequest,
): Promise<Source<InboxEvent<Room>>> {
  const { parts, memberDetails, maxMembers } = toSelection(request, limits);
  const selection = { parts, memberDetails, maxMembers };
  return inboxes.watch(userId, (roomId) => batches.rooms.load({ roomId, userId, selection }));
}
