import type { Room } from '../db/rooms.js';
import type { InboxEvent } from '../domain/inbox.js';
import type { Member } from '../domain/room-log.js';
import type { Source } from '../domain/source.js';
import type { Viewer } from '../domain/viewer.js';
import type { Deps } from './deps.js';

/** The viewer's rooms as they change, READY first: a query after READY misses nothing. */
export const watchInbox = (deps: Deps, viewer: Viewer): Promise<Source<InboxEvent<Room>>> =>
  deps.inboxes.watch(viewer.userId, (roomId) => findRoom(deps, viewer, roomId));

/** Loads the membership along with the room: it may end before the field asks for it, and the event must not fail then. */
async function findRoom({ batches }: Deps, { userId }: Viewer, roomId: string): Promise<Room | null> {
  const [room, viewerMember] = await Promise.all([
    batches.rooms.load({ roomId, userId }),
    batches.memberships.load({ roomId, userId }),
  ]);
  return room === null || viewerMember === null ? null : seenBy(viewerMember, room);
}

/** A viewer's lookups in one turn share the membership object, so they share the room object as well. */
const seen = new WeakMap<Member, Room>();

function seenBy(viewerMember: Member, room: Room): Room {
  const known = seen.get(viewerMember) ?? { ...room, preloaded: { viewerMember } };
  seen.set(viewerMember, known);
  return known;
}
