import pg from 'pg';
import { vi } from 'vitest';

/** The first statement that reads a room, whichever query it belongs to. */
const readsRoom = /\bchat_rooms r\b/;

/**
 * Runs `work` once, between the first statement of this process that reads a room and everything that follows its result.
 * Until `vi.restoreAllMocks()`. Returns whether it has run.
 */
export function afterRoomIsRead(work: () => Promise<unknown>, isMeant = (_text: string) => true): () => boolean {
  const original = pg.Client.prototype.query as (...args: unknown[]) => unknown;
  let hasRun = false;
  vi.spyOn(pg.Client.prototype, 'query').mockImplementation(function (this: pg.Client, ...args: unknown[]) {
    const result = original.apply(this, args);
    const { text = '' } = args[0] as { text?: string };
    if (hasRun || !readsRoom.test(text) || !isMeant(text)) return result;
    hasRun = true;
    return (result as Promise<unknown>).then(async (rows) => {
      await work();
      return rows;
    });
  } as never);
  return () => hasRun;
}
