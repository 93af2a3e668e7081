import type { Room } from '../db/rooms.js';
import type { Message } from '../domain/message.js';
import type { Viewer } from '../domain/viewer.js';
import type { Deps } from './deps.js';

/**
 * What a client may offer to its user. The functions in prisma/functions decide by the same rules when it is done, because
 * memberships and rooms change in between.
 */

/** False in a closed room, and for a former member. */
export const canSend = ({ cancelledAt, preloaded }: Room): boolean =>
  cancelledAt === null && (preloaded?.viewerMember?.leftAt ?? null) === null;

/** True for the viewer's own text, while the room is open. */
export async function canEdit({ batches }: Deps, { userId }: Viewer, message: Message): Promise<boolean> {
  const { roomId, senderId, type, deletedAt } = message;
  if (senderId !== userId || type !== 'TEXT' || deletedAt !== null) return false;
  const permission = await batches.permissions.load({ roomId, userId });
  return permission?.isOpen === true;
}

/** True for the viewer's own messages, and for all of them if the viewer is an admin; also in a closed room. */
export async function canDelete({ batches }: Deps, { userId }: Viewer, message: Message): Promise<boolean> {
  const { roomId, senderId, type, deletedAt } = message;
  if (type === 'SYSTEM' || deletedAt !== null) return false;
  const permission = await batches.permissions.load({ roomId, userId });
  return permission !== null && (senderId === userId || permission.isAdmin);
}
