import { dateFiles, setRetention } from '../db/attachments.js';
import type { Room } from '../db/rooms.js';
import { ChatError } from '../domain/errors.js';
import { platform } from '../domain/viewer.js';
import type { Deps } from './deps.js';
import { loadRoom } from './loaders.js';

/** As of the server's own setting. */
export const maxRetentionDays = 36_500;
const lastPosition = 2 ** 31 - 1;

/**
 * Sets for how many days the files of the room's messages are kept: 0 without an end, null as long as the server keeps others.
 * Resolves once the files of earlier messages have their new date as well; a file whose time is over is erased soon after. Call
 * it for the platform only. May be repeated: what an interrupted call has left is done then.
 * @throws {ChatError} NOT_FOUND
 */
export async function setRoomRetention(deps: Deps, roomId: string, days: number | null): Promise<Room> {
  const { db, limits } = deps;
  const change = <Result>(write: Parameters<typeof db.changes.change<Result>>[1]) =>
    db.changes.change(`room ${roomId}`, write);
  const isFound = await change((writes) => setRetention({ writes }, roomId, days));
  if (!isFound) throw new ChatError('NOT_FOUND', 'There is no such room');
  for (let from: number | null = lastPosition; from !== null; ) {
    const position: number = from;
    from = await change((writes) => dateFiles({ writes }, roomId, position, limits.fileRetentionMs));
  }
  return loadRoom(deps, platform, roomId);
}
