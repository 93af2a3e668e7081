import { isMember } from '../db/membership.js';
import type { User } from '../db/user-row.js';
import { presentEpoch } from '../domain/epoch.js';
import { parseUuid } from '../domain/ids.js';
import type { Source } from '../domain/source.js';
import { type TypingState, typingExpiresInMs } from '../domain/typing.js';
import type { Viewer } from '../domain/viewer.js';
import { assertMayType, assertMayWrite } from './access.js';
import type { Deps } from './deps.js';
import { type Afford, found, loadMemberHead, loadMemberUsers } from './loaders.js';

/**
 * Shows the room that the viewer is typing, or has stopped. The signal counts from its arrival here, however long the
 * permission check takes: a later stop or message ends it.
 * @throws {ChatError} NOT_FOUND if the viewer is not a member; FORBIDDEN if the room is closed for writing; RATE_LIMITED for
 * many more signals than typing needs
 */
export async function setTyping(
  deps: Deps,
  viewer: Viewer,
  input: { roomId: string; isTyping: boolean },
): Promise<{ expiresInMs: number }> {
  const { typing } = deps;
  const { userId } = viewer;
  const said = { userId, isTyping: input.isTyping, saidAt: performance.now() };
  const roomId = parseUuid(input.roomId, 'roomId');
  const isKnown = typing.isKnown(roomId, userId);
  if (!isKnown) {
    await assertMayType(deps, viewer);
    typing.hear(roomId, said);
  }
  let seq = typing.seqForWriter(roomId, userId);
  if (!isKnown) seq ??= await loadSeqForWriter(deps, viewer, roomId);

  typing.signal(roomId, { ...said, seq });
  return { expiresInMs: typingExpiresInMs };
}

/** The head of the room's log. @throws as `assertMayWrite` does */
async function loadSeqForWriter({ batches }: Deps, { userId }: Viewer, roomId: string): Promise<number> {
  const room = await batches.permissions.load({ roomId, userId });
  assertMayWrite(room);
  return room.seq;
}

/**
 * The users who are typing in the room, without the viewer: the current list, then every change.
 * @throws {ChatError} NOT_FOUND if the viewer is not a member; the iterator throws FORBIDDEN when the membership ends
 */
export async function watchTyping(
  deps: Deps,
  viewer: Viewer,
  input: { roomId: string },
  isBehind: () => boolean,
): Promise<Source<TypingState>> {
  const { db, typing } = deps;
  const roomId = parseUuid(input.roomId, 'roomId');
  return typing.watch(roomId, async () => {
    const head = found(await loadMemberHead(deps, viewer, roomId));
    return {
      viewerId: viewer.userId,
      head: head.seq,
      epoch: presentEpoch(head.epochs),
      isOpen: head.isOpen,
      isMember: () => isMember(db, roomId, viewer.userId),
      isBehind,
    };
  });
}

/** The users who are typing now, without the viewer; empty if the viewer is not a member any more. @throws as `afford` does */
export async function listTyping(deps: Deps, { userId }: Viewer, roomId: string, afford: Afford): Promise<User[]> {
  const { batches, typing } = deps;
  if ((await batches.memberships.load({ roomId, userId })) === null) return [];
  const others = (await typing.list(roomId)).filter((id) => id !== userId);
  return loadMemberUsers(deps, roomId, others, afford);
}
