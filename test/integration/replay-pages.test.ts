import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { connectDatabase, type Database } from '../../src/db/database.js';
import { createLogStore } from '../../src/db/log-store.js';
import { appendMessage, createRoom, editMessage } from '../../src/db/room-log.js';
import type { LogEntry, LogStore } from '../../src/domain/room-log.js';
import { createDatabase, type TestDatabase } from '../support/database.js';

const author = 4;
const messages = 20;
/** One page spends the allowance for more than two seconds. */
const replayedPerMinute = 300;

describe('the pages of replays', () => {
  let database: TestDatabase;
  let db: Database;
  let store: LogStore;
  beforeAll(async () => {
    database = await createDatabase();
    db = connectDatabase({ url: database.url, replayedPerMinute });
    store = createLogStore(db);
  });
  afterEach(() => vi.restoreAllMocks());
  afterAll(async () => {
    await db.close();
    await database.drop();
  });

  /** A room with its messages; the first entry is its creation. */
  async function writeRoom(): Promise<{ roomId: string; ids: readonly string[]; range: (upTo: number) => Range }> {
    const room = { id: randomUUID(), type: 'GROUP', name: null, directKey: null, messageId: randomUUID() } as const;
    const { roomId } = await createRoom(db, { ...room, creatorId: author, memberIds: [author] });
    const ids = Array.from({ length: messages }, () => randomUUID());
    for (const id of ids) await appendMessage(db, { id, roomId, senderId: author, type: 'TEXT', content: id });
    return { roomId, ids, range: (upTo) => ({ roomId, base: 0, after: 0, upTo }) };
  }
  type Range = Parameters<LogStore['replayPage']>[0];
  const head = messages + 1;

  /** Counts the pages that are read from now on. */
  function countReads(): () => number {
    const query = vi.spyOn(pg.Client.prototype, 'query') as unknown as { mock: { calls: [{ text?: string }][] } };
    return () => query.mock.calls.filter(([{ text = '' }]) => text.includes('ORDER BY p.position')).length;
  }

  const contents = (page: readonly LogEntry[]) => page.slice(1).map(({ message }) => message.content);

  it('are read once for all who ask for the same range together, and again for another one', async () => {
    const { ids, range } = await writeRoom();
    const reads = countReads();
    const users = Array.from({ length: 60 }, (_, index) => 100 + index);

    const pages = await Promise.all(users.map((userId) => store.replayPage(range(head), userId, {})));
    const [first] = pages;
    expect(reads()).toBe(1);
    expect(contents(first ?? [])).toEqual(ids);
    // The same objects, so that each is executed once for all.
    for (const page of pages) expect(page.every((entry, index) => entry === first?.[index])).toBe(true);

    expect((await store.replayPage(range(head - 1), 160, {})).length).toBe(messages);
    expect(reads()).toBe(2);
  });

  it('contain a change for those who have seen its position', async () => {
    const { ids, range } = await writeRoom();
    const before = await store.replayPage(range(head), 200, {});
    await editMessage(db, ids[0] ?? '', author, 'edited');

    const after = await store.replayPage(range(head + 1), 201, {});

    expect(contents(before)).toEqual(ids);
    expect(contents(after)).toEqual(['edited', ...ids.slice(1)]);
  });

  it('reach the others if the one who asked first leaves', async () => {
    const { ids, range } = await writeRoom();
    const first = new AbortController();
    const asking = [300, 301, 302, 303].map((userId) =>
      store.replayPage(range(head), userId, userId === 300 ? { signal: () => first.signal } : {}),
    );
    first.abort();
    const [left, ...stayed] = await Promise.allSettled(asking);

    expect(['fulfilled', 'rejected']).toContain(left?.status);
    for (const page of stayed) expect(page.status === 'fulfilled' && contents(page.value)).toEqual(ids);
  });

  it('are charged to everybody, and a user who has spent the allowance waits for a turn', async () => {
    const { range } = await writeRoom();
    const [reader, other] = [400, 401];
    await store.replayPage(range(head), reader, {});
    await store.replayPage(range(head), other, {});
    expect(db.chargeReplay(other, 0)).toBe(false);

    let isGiven = false;
    const last = store.replayPage(range(head), other, {}).then((page) => {
      isGiven = true;
      return page;
    });
    await new Promise((resolve) => setImmediate(resolve));

    expect(isGiven).toBe(false);
    expect((await last).length).toBe(head);
  });
});
