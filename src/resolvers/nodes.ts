import { findVisibleFile } from '../db/attachments.js';
import type { KnownMember } from '../db/member-row.js';
import { findMember } from '../db/members.js';
import type { Room } from '../db/rooms.js';
import type { User } from '../db/user-row.js';
import type { Attachment } from '../domain/attachment.js';
import { parseUuid } from '../domain/ids.js';
import type { Message } from '../domain/message.js';
import type { Viewer } from '../domain/viewer.js';
import type { Deps } from './deps.js';
import { getMessage } from './messages.js';
import { getRoom, type RoomRequest } from './rooms.js';
import { getUsers } from './users.js';

export type Node = Room | Message | KnownMember | Attachment | User;

const userPrefix = 'User:';

/**
 * The object with this id; null if it does not exist or the viewer may not see it. No two types share an id.
 * @throws {ChatError} BAD_USER_INPUT if it is no id
 */
export async function getNode(deps: Deps, viewer: Viewer, id: string, request: RoomRequest): Promise<Node | null> {
  if (id.startsWith(userPrefix)) {
    const [user] = await getUsers(deps, viewer, [id.slice(userPrefix.length)]);
    return user ?? null;
  }
  const nodeId = parseUuid(id, 'id');
  const [room, message, member, file] = await Promise.all([
    getRoom(deps, viewer, nodeId, request),
    getMessage(deps, viewer, nodeId),
    findMember(deps.db, nodeId, viewer.userId),
    findVisibleFile(deps.db, nodeId, viewer.userId),
  ]);
  return room ?? message ?? member ?? file?.attachment ?? null;
}

/** The name of the node's type. */
export function typeOfNode(node: object): 'Room' | 'Message' | 'RoomMember' | 'Attachment' | 'User' {
  if ('senderId' in node) return 'Message';
  if ('lastReadSeq' in node) return 'RoomMember';
  if ('byteSize' in node) return 'Attachment';
  return 'seq' in node ? 'Room' : 'User';
}
