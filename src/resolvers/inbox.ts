import type { Room } from '../db/rooms.js';
import type { InboxEvent } from '../domain/inbox.js';
import type { Viewer } from '../domain/viewer.js';
import type { Deps } from './deps.js';

/** The viewer's rooms as they change, READY first: who queries behind that misses nothing. */
export const watchInbox = (deps: Deps, viewer: Viewer): Promise<AsyncIterableIterator<InboxEvent<Room>>> =>
  deps.inboxes.watch(viewer.userId, (roomId) => findRoom(deps, viewer, roomId));

/** With the viewer's membership, which may have ended by the time that it is asked for: an event is no error then. */
async function findRoom({ batches }: Deps, { userId }: Viewer, roomId: string): Promise<Room | null> {
  const [room, viewerMember] = await Promise.all([
    batches.rooms.load({ roomId, userId }),
    batches.memberships.load({ roomId, userId }),
  ]);
  return room === null || viewerMember === null ? null : { ...room, along: { viewerMember } };
}
