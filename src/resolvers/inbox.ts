import type { Room } from '../db/rooms.js';
import type { InboxEvent } from '../domain/inbox.js';
import type { Viewer } from '../domain/viewer.js';
import type { Deps } from './deps.js';

/** The viewer's rooms as they change, READY first: who queries behind that misses nothing. */
export const watchInbox = (
  { inboxes, batches }: Deps,
  { userId }: Viewer,
): Promise<AsyncIterableIterator<InboxEvent<Room>>> =>
  inboxes.watch(userId, (roomId) => batches.rooms.load({ roomId, userId }));
