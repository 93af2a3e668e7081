import type { RoomStateFragment } from '../operations/generated/documents.js';
import { type Session, write } from '../session.js';
import { type Log, storedPart } from './log.js';

const storedMessages = 100;
const storedRooms = 20;
/** Grows with each change of what is stored of a room: what another version has stored is not read. */
const version = 2;

/** What is stored of a room. */
export interface StoredRoom {
  readonly version: typeof version;
  readonly log: Log;
  readonly room: RoomStateFragment;
}

/** What is stored of a room, or undefined. What another version has stored is removed. */
export async function readStoredRoom(session: Session, roomId: string): Promise<StoredRoom | undefined> {
  const stored = (await (await session.storage()).get('logs', roomId)) as StoredRoom | undefined;
  if (stored === undefined || stored.version === version) return stored;
  write(session, (storage) => storage.delete('logs', roomId));
  return undefined;
}

/** Stores the newest messages of a room, and forgets the rooms beyond the newest ones. */
export function storeRoom(session: Session, log: Log, room: RoomStateFragment): void {
  const part = trimLog(log);
  if (part === undefined) return;
  write(session, async (storage) => {
    await storage.put('logs', room.id, { version, log: part, room } satisfies StoredRoom);
    const entries = (await storage.entries('logs')) as [string, StoredRoom][];
    const oldest = entries.sort(([, a], [, b]) => (a.room.updatedAt < b.room.updatedAt ? 1 : -1)).slice(storedRooms);
    for (const [roomId] of oldest) await storage.delete('logs', roomId);
  });
}

/** Removes everything of a room from this device. */
export function eraseRoom(session: Session, roomId: string): void {
  write(session, async (storage) => {
    await storage.delete('logs', roomId);
    await storage.delete('drafts', roomId);
  });
}

/** As much of a log as is stored; undefined if it does not reach to the newest message. */
export const trimLog = (log: Log): Log | undefined => storedPart(log, storedMessages);
