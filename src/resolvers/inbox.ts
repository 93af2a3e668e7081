import { memberDetails } from '../db/member-row.js';
import type { Room, RoomPart } from '../db/rooms.js';
import type { InboxEvent } from '../domain/inbox.js';
import type { Source } from '../domain/source.js';
import type { Viewer } from '../domain/viewer.js';
import type { Deps } from './deps.js';
import { type RoomRequest, toSelection } from './rooms.js';

/** The parts that follow from the log once they were read. */
const listed = {
  parts: ['title', 'unreadCount', 'memberCount', 'lastMessage', 'viewerMember'],
  memberDetails,
} as const;
const listedParts: readonly RoomPart[] = listed.parts;

/**
 * The viewer's rooms as they change, READY first: a query after READY misses nothing. Each room comes with the requested
 * parts, as of one moment when the viewer was a member. If it has to be read, the lookups of all watchers in one turn share
 * a query.
 */
export function watchInbox(
  { batches, inboxes, limits }: Deps,
  { userId }: Viewer,
  request: RoomRequest,
): Promise<Source<InboxEvent<Room>>> {
  const { parts, memberDetails: details, maxMembers } = toSelection(request, limits);
  const isListed = parts.every((part) => listedParts.includes(part));
  const selection = isListed ? listed : { parts, memberDetails: details, maxMembers };
  const read = (roomId: string) => batches.rooms.load({ roomId, userId, selection });
  return inboxes.watch(userId, { read, isListed });
}
