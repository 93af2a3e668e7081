import type { Room } from '../db/rooms.js';
import type { InboxEvent } from '../domain/inbox.js';
import type { Member } from '../domain/room-log.js';
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
  return room === null || viewerMember === null ? null : seenBy(viewerMember, room);
}

/** A look at a membership is shared by all that one viewer asks for in one turn, and so is the room that goes with it. */
const seen = new WeakMap<Member, Room>();

function seenBy(viewerMember: Member, room: Room): Room {
  const known = seen.get(viewerMember) ?? { ...room, along: { viewerMember } };
  seen.set(viewerMember, known);
  return known;
}
